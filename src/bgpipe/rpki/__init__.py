"""What the RPKI says of routes: VRPs, and route origin validation (RFC 6811)."""
