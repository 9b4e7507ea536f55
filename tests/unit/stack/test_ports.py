"""Where a stack is reached."""

from headrace_stack.ports import Ports, is_open_to_browsers
from headrace_stack.view import addresses


def test_a_front_door_that_is_told_of_a_certificate_is_reached_by_https():
    ports = Ports(8080)
    assert ports.front_door_url({}) == "http://127.0.0.1:8080"
    assert ports.front_door_url({"FRONT_DOOR_TLS_CERT": "door.pem"}) == "https://127.0.0.1:8080"


def test_a_port_that_browsers_refuse_is_named():
    assert "browsers refuse port 10080" in addresses(Ports(10080))
    assert "http://127.0.0.1:8080/console/" in addresses(Ports(8080))
    assert not is_open_to_browsers(6667)
