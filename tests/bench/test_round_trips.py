"""What requests ask of the neighbours, counted by those, as the bench does: the bounds that hold on any machine."""

from __future__ import annotations

from collections import Counter

from bench.world import World

LOGINS = 10


def test_a_login_without_a_name_costs_three_secrets_and_at_most_one_round_trip_to_database_and_cache() -> None:
    with World() as world:
        world.user()  # what a replica does once
        world.trips.begin()
        world.users(LOGINS)
        counted = world.trips.end()
    assert counted.kubernetes == Counter({"create secrets": 3 * LOGINS})
    assert counted.unlabelled_lists == 0
    assert counted.mongodb <= LOGINS
    assert counted.memcached <= LOGINS
