"""The BGP session (RFC 4271 section 8): a table, deadlines, and messages in and out. No sockets, no clock."""
