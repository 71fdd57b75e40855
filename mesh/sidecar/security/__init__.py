"""Who may connect and call: PeerAuthentication, RequestAuthentication, AuthorizationPolicy, RBAC."""
