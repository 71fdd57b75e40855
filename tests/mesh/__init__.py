"""The translator held to traffic: real Envoys and real connections."""
