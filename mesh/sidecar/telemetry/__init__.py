"""What a proxy tells: access logs, spans, and Istio's standard metrics."""
