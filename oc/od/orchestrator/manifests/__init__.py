"""Pure builders of every Kubernetes object pyos creates (spec orchestration.md 2 to 5, 7).

Same input, same dict: no I/O, no clock, no randomness, settings are never mutated; what is returned is fresh. Each
raises ManifestError when the configuration, or what is known of the user, makes no valid object.

========================  =============================================================================
``posix``                 resolve_account, generic_account, home_directory
``secrets``               login_secrets, vnc_secret, decode_secret, secret_text, secret_kind, secret_ref
``homes``                 needs_claim, home_volume, home_claim
``network``               network_rules
``desktop``               desktop_pod
``applications``          desktop_facts, ephemeral_container, ephemeral_patch, application_pod
``selectors``             desktop_selector, application_selector, secret_selector, claim_selector,
                          is_users, belongs_to, ALL_DESKTOPS, ALL_APPLICATIONS
``labels``                user_labels, uniq_labels, identity_labels
``executeclass``          select
========================  =============================================================================
"""
