"""Its resource names."""

from __future__ import annotations

import re

from mesh.resource_names import Collection

GUESTS = Collection("guests", "guest", "1 to 20 of a-z", re.compile(r"[a-z]{1,20}"))
