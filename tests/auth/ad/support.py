"""The providers of the Active Directory tests, and what they look at."""

from __future__ import annotations

import base64
from typing import Any

from devstack.stack import Stack
from tests.peers import samba

EVERYONE = {"enable": True, "network_list": ["127.0.0.0/8"], "permit_querystring": True}
RULES = {
    "ship": {
        "conditions": [{"memberOf": f"cn=ship_crew,{samba.GROUPS}", "expected": True}],
        "expected": True,
        "label": "shipcrew",
    },
    "captain": {
        "conditions": [{"memberOf": [f"cn=captains,{samba.GROUPS}", "captains"], "expected": True}],
        "expected": True,
        "label": "captain",
    },
    "users": {
        "conditions": [{"primarygroupid": 513, "expected": True}],
        "expected": True,
        "label": "domainusers",
    },
}

META_RULES = {
    "met": {
        "conditions": [{"memberOf": f"cn=captains,{samba.GROUPS}", "expected": True}],
        "expected": True,
        "label": "metacaptain",
    },
    "robots": {
        "conditions": [{"attribut": {"attribut": "description", "equal": "robot"}, "expected": True}],
        "expected": True,
        "label": "robot",
    },
}


def domain(controller: samba.DomainController, **keys: Any) -> dict[str, Any]:
    """A provider of the domain: simple bind over LDAPS, the certificate verified."""
    return {
        "domain": samba.DOMAIN,
        "domain_fqdn": samba.FQDN,
        "ldap_basedn": samba.BASE,
        "servers": [f"ldaps://{samba.HOST}"],
        "tls_ca_file": str(controller.ca_file),
        "serviceaccount": {"login": samba.SERVICE[0], "password": samba.SERVICE[1]},
        "policies": {"acl": {"permit": ["all"]}, "rules": RULES},
        **keys,
    }


def providers(controller: samba.DomainController) -> dict[str, Any]:
    """Every way to log in, each a provider."""
    kerberos = {"kerberos_realm": samba.REALM, "krb5_conf": str(controller.krb5_conf)}
    return {
        "explicit": {
            "show_domains": True,
            "providers": {
                "adtest": domain(controller, default=True, auth_protocol={"kerberos": True}, **kerberos),
                "starttls": domain(controller, servers=[samba.HOST], start_tls=True, serviceaccount=None),
                "plain": domain(controller, servers=[samba.HOST]),
                "untrusted": domain(controller, tls_ca_file=None),
                "found": domain(controller, servers=[], query_dcs=True, secure=True),
                "named": domain(controller, servers=[], secure=True),
                "nested": domain(controller, recursive_search=True),
                "ntlm": domain(controller, auth_type="NTLM"),
                "ntlmplain": domain(controller, auth_type="NTLM", servers=[samba.HOST]),
                "kerberos": domain(controller, auth_type="KERBEROS", **kerberos),
                "ticketonly": domain(controller, auth_type="KERBEROS", auth_only=True, **kerberos),
            },
        },
        "metaexplicit": {
            "providers": {
                "metadirectory": domain(
                    controller,
                    domain="META",
                    serviceaccount={"login": f"{samba.DOMAIN}\\{samba.SERVICE[0]}", "password": samba.SERVICE[1]},
                    users_ou=f"OU=meta,{samba.BASE}",
                    join_key_ldapattribut="info",
                    filter="(&(objectClass=user)(uid=%s))",
                    foreign_basedn=samba.PEOPLE,
                    foreign_filter="(&(objectClass=user)(objectSid=%s))",
                    default=True,
                    displayname="Meta",
                    policies={"acl": {"permit": ["all"], "deny": ["robot"]}, "rules": META_RULES},
                )
            }
        },
        "implicit": {
            "providers": {
                "sslclient-directory": domain(
                    controller, useExplicitIdentityProvider=True, dialog_url="https://certificates.example/"
                ),
                "sslclient": {"dialog_url": "https://certificates.example/"},
                "anonymous": {},
            }
        },
    }


def secrets_of(stack: Stack, userid: str) -> dict[str, dict[str, bytes]]:
    """Kind of each secret of a user -> its decoded data."""
    path = f"/api/v1/namespaces/{stack.namespace}/secrets?labelSelector=access_userid%3D{userid}"
    return {
        secret["type"].rpartition("/")[2]: {k: base64.b64decode(v) for k, v in secret["data"].items()}
        for secret in stack.cluster_admin("GET", path)["items"]
    }
