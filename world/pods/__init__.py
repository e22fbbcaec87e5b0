"""What runs in pods: real HTTP servers on addresses of their own."""
