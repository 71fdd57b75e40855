"""Types of Istio's fields: numbers, names, hosts, expressions, as istiod's JSON reader and its validation take them.

Owns what one value may be, whatever its kind; what holds between values is for the models, and for the checks of
`mesh.sidecar`. Source: golang/protobuf jsonpb, istio/istio pkg/config/validation, pkg/config/labels.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache, partial
from typing import Annotated

import re2
from pydantic import AfterValidator, BeforeValidator, Field

_WHOLE = re.compile(r"\s*-?(0|[1-9][0-9]*)\s*")
_NUMBER = re.compile(r"\s*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\s*")
_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_WILDCARD_LABEL = re.compile(rf"\*|(\*|\*-)?(?:{_LABEL})")
_DNS_LABEL = re.compile(_LABEL)
_QUALIFIED_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_KEY = re.compile(rf"({_LABEL}(\.{_LABEL})*/)?({_QUALIFIED_NAME})")
_LABEL_VALUE = re.compile(rf"({_QUALIFIED_NAME})?")
_HEADER = re.compile(r"[-!#$%&'*+.^_`|~A-Za-z0-9]+")
_LONGEST_LABEL, _LONGEST_NAME = 63, 255
_LONGEST_EXPRESSION = 1024
"""Bytes of a regular expression, by istiod's validation."""


def _read_whole(value: object) -> object:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _read_number(value: object) -> object:
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


Int = Annotated[int, BeforeValidator(_read_whole), Field(ge=-(2**31), lt=2**31)]
"""An int32; also as text, which istiod's JSON reader takes."""
UInt = Annotated[int, BeforeValidator(_read_whole), Field(ge=0, lt=2**32)]
"""A uint32, as `Int`."""
Count = Annotated[int, BeforeValidator(_read_whole), Field(ge=0, lt=2**31)]
"""An int32 that istiod refuses below 0."""
Port = Annotated[int, BeforeValidator(_read_whole), Field(ge=1, le=65535)]
"""A port's number."""
Number = Annotated[float, BeforeValidator(_read_number)]
"""A double, as `Int`."""


def is_dns_label(value: str) -> bool:
    """Whether it is one label of a DNS name, in either case, as istiod takes it."""
    return len(value) <= _LONGEST_LABEL and _DNS_LABEL.fullmatch(value) is not None


def is_fqdn(name: str) -> bool:
    """Whether it is a DNS name, perhaps with a dot at its end."""
    return 0 < len(name) <= _LONGEST_NAME and _are_labels(name)


def is_wildcard_host(name: str) -> bool:
    """Whether it is a DNS name whose first label may be *, or begin with it."""
    first, dot, rest = name.partition(".")
    is_first = len(first) <= _LONGEST_LABEL and _WILDCARD_LABEL.fullmatch(first) is not None
    return len(name) <= _LONGEST_NAME and is_first and (not dot or _are_labels(rest))


def is_whole_wildcard_host(name: str) -> bool:
    """The same, but for names whose first label has more than the *, which Sidecars and Gateways do not take."""
    return is_wildcard_host(name) and (not name.startswith("*") or name == "*" or name.startswith("*."))


def _are_labels(name: str) -> bool:
    labels = name.split(".")
    if labels[-1].isascii() and labels[-1].isdecimal():
        return False
    if not labels[-1]:
        labels = labels[:-1]
    return all(is_dns_label(label) for label in labels)


def is_ip(address: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _check_dns_label(value: str) -> str:
    if not is_dns_label(value):
        raise ValueError("letters, digits and '-' are expected, at most 63")
    return value


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        is_key = _LABEL_KEY.fullmatch(key) and len(prefix) <= 253 and len(name) <= _LONGEST_LABEL
        if not is_key or not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"{key}={value} is no label of Kubernetes: correct it")
    return labels


def _check_selector(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not key or "*" in key or "*" in value:
            raise ValueError(f"{key}={value}: a label is compared as it is, without wildcards")
    return labels


DnsLabel = Annotated[str, AfterValidator(_check_dns_label)]
"""One label of a DNS name: a namespace, a subset, a port's name."""
Labels = Annotated[dict[str, str], AfterValidator(_check_labels)]
"""Labels of endpoints or pods."""
SelectorLabels = Annotated[dict[str, str], AfterValidator(_check_selector)]
"""Labels that pods are picked by."""


@lru_cache(maxsize=1_000)  # the same few expressions stand in many rules
def find_regex_fault(expression: str) -> str:
    """What istiod or Envoy would say against a regular expression; "" if both take it. Both read RE2's syntax."""
    if not expression:
        return "is empty: write an expression"
    if len(expression.encode()) > _LONGEST_EXPRESSION:
        return f"is longer than {_LONGEST_EXPRESSION} bytes, which istiod does not take: shorten it"
    if _has_byte_escape(expression):
        return rf"invalid escape sequence: \C, in {expression!r}: write it for RE2 as Go has it"
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(expression, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        return f"{why}, in {expression!r}: write it for RE2, which has no look-around and no back references"
    return ""


def _has_byte_escape(expression: str) -> bool:
    r"""Whether it has \C (one byte), which RE2 knows and Go, with which istiod checks, does not."""
    unquoted = re.sub(r"(?<!\\)((?:\\\\)*)\\Q.*?(?:\\E|$)", r"\1", expression, flags=re.DOTALL)
    return re.search(r"(?<!\\)(?:\\\\)*\\C", unquoted) is not None


def find_rewrite_fault(expression: str, rewrite: str) -> str:
    r"""What Envoy would say against a replacement for what an expression matches: \0 to \9 are its groups."""
    if not rewrite:
        return "is empty: write what the path becomes"
    groups = re2.compile(expression).groups
    for escape in re.findall(r"\\(.?)", rewrite, flags=re.DOTALL):
        if escape != "\\" and not (escape.isascii() and escape.isdigit()):
            return r"a backslash is written \\, or stands before the number of a group: correct it"
        if escape.isdigit() and int(escape) > groups:
            return rf"\{escape} is no group of {expression!r}, which has {groups}: correct it"
    return ""


def is_header_name(name: str) -> bool:
    """Whether it is a header's name, of RFC 9110's characters."""
    return _HEADER.fullmatch(name) is not None


def _check_export(namespaces: tuple[str, ...], *, may_hide: bool = False) -> tuple[str, ...]:
    """Where a resource is seen; an empty list is as none, everywhere."""
    if len(set(namespaces)) < len(namespaces):
        raise ValueError("a namespace is said twice: leave one")
    if len(namespaces) > 1 and {"*", "~"} & set(namespaces):
        raise ValueError("* and ~ stand alone: remove the others")
    for namespace in namespaces:
        if namespace not in {".", "*"} and not (may_hide and namespace == "~") and not is_dns_label(namespace):
            raise ValueError(f"{namespace!r} is none of '.', '*' and a namespace's name")
    return namespaces or ("*",)


ExportTo = Annotated[tuple[str, ...], AfterValidator(_check_export)]
"""The namespaces that see a resource: '.' is its own, '*' every one."""
ExportToOrNone = Annotated[tuple[str, ...], AfterValidator(partial(_check_export, may_hide=True))]
"""The same of a host: '~' is none."""
