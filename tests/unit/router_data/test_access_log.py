from headrace_router.data.telemetry.accesslog import AccessLog


def test_errors_are_logged_up_to_a_bound_in_each_second():
    access_log = AccessLog(2)
    assert [access_log.wants_error(now) for now in (5.0, 5.1, 5.2, 5.9)] == [True, True, False, False]
    assert [access_log.wants_error(now) for now in (6.0, 6.5, 6.6, 7.1)] == [True, True, False, True]
    assert not AccessLog(0).wants_error(1.0)
