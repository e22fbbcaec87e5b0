"""Own Envoys: what is published for them."""
