"""Views of clusters and of Cloud Map in, a plan of registrations out."""
