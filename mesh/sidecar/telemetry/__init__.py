"""What a proxy reports: access logs, spans, and Istio's standard metrics."""
