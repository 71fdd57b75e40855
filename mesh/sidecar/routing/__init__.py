"""VirtualServices as Envoy's routes: matches, actions, retries, faults, filters of a route."""
