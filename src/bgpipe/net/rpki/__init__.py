"""Where VRPs and ASPAs come from: RTR caches, URLs and files, in an order of preference."""
