"""Where a stack is reached."""

from headrace_stack.ports import Ports


def test_a_front_door_that_is_told_of_a_certificate_is_reached_by_https():
    ports = Ports(8080)
    assert ports.front_door_url({}) == "http://127.0.0.1:8080"
    assert ports.front_door_url({"FRONT_DOOR_TLS_CERT": "door.pem"}) == "https://127.0.0.1:8080"
