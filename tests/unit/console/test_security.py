"""Where a sign-in may lead, and how many may be begun."""

from headrace_console.security import CONTENT_POLICY, local_path
from headrace_console.signing_in.limits import SignInLimit
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

ELSEWHERE = [
    "https://evil.example/console/",
    "//evil.example/console/",
    "/\\evil.example",
    "\\\\evil.example",
    "/console//evil.example",
    "/console/../../evil",
    "/console/\r\nset-cookie: a=b",
    "javascript:alert(1)",
    " /console/",
    "/consoles/",
    "/console/" + "a" * 3000,
    "/v1/models",
]


@each("path", ELSEWHERE)
def test_nobody_is_sent_somewhere_else(path: str):
    assert local_path(path, "/console/") == "/console/"


@given(path=st.text(max_size=60))
def test_whatever_is_asked_for_leads_to_a_page_of_ours(path: str):
    for asked in (path, f"/console/{path}"):
        led = local_path(asked, "/console/")
        assert led.startswith("/console/")
        assert not led.startswith("/console//")
        assert led.isascii()
        assert led.isprintable()


def test_the_content_policy_allows_our_own_files_alone():
    assert "default-src 'self'" in CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY
    assert "http" not in CONTENT_POLICY
    assert "data:" not in CONTENT_POLICY


def test_an_address_may_sign_in_so_often_a_minute_and_others_do_not_notice():
    now = 0.0
    limit = SignInLimit(3, lambda: now)
    assert [limit.admit("10.0.0.1") for _ in range(4)] == [True, True, True, False]
    assert limit.admit("10.0.0.2")
    now = 20.0
    assert [limit.admit("10.0.0.1") for _ in range(2)] == [True, False]


def test_all_addresses_together_are_bounded_as_well():
    limit = SignInLimit(3, lambda: 0.0)
    assert sum(limit.admit(f"10.0.0.{number}") for number in range(200)) == 60


def test_an_address_that_is_refused_uses_up_nothing_of_what_others_may():
    limit = SignInLimit(3, lambda: 0.0)
    assert sum(limit.admit("10.0.0.1") for _ in range(1000)) == 3
    assert limit.admit("10.0.0.2")
