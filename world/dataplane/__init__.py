"""What carries requests: real Envoy configured from the mesh API and Cloud Map alone, a load balancer in front, a resolver for its name."""
