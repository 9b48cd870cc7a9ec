"""The pages of a route server: what people see in a browser."""
