"""Groups of methods that clients have of the part bulk."""

from headrace_client.callers import Group, Kind, Method

from headrace_bulk.operations import scoring_jobs, scoring_publications, scoring_schedules


class Jobs(Group[Kind]):
    """Tables that a version scores."""

    create = Method(scoring_jobs.create_scoring_job)
    estimate = Method(scoring_jobs.estimate_scoring_job)
    get = Method(scoring_jobs.get_scoring_job)
    list = Method(scoring_jobs.list_scoring_jobs)
    watch = Method(scoring_jobs.watch_scoring_job)
    pause = Method(scoring_jobs.pause_scoring_job)
    resume = Method(scoring_jobs.resume_scoring_job)
    cancel = Method(scoring_jobs.cancel_scoring_job)
    retry = Method(scoring_jobs.retry_scoring_job)
    history = Method(scoring_jobs.scoring_job_history)
    put_webhook = Method(scoring_jobs.put_scoring_webhook)
    list_webhooks = Method(scoring_jobs.list_scoring_webhooks)
    delete_webhook = Method(scoring_jobs.delete_scoring_webhook)


class Publications(Group[Kind]):
    """Results of jobs, published as precomputed answers."""

    publish = Method(scoring_publications.publish_scoring_job)
    get = Method(scoring_publications.get_scoring_publication)
    wait = Method(scoring_publications.await_scoring_publication)
    approve = Method(scoring_publications.approve_scoring_publication)
    revert = Method(scoring_publications.revert_scoring_publication)


class Schedules(Group[Kind]):
    """Jobs that start by the clock."""

    put = Method(scoring_schedules.put_scoring_schedule)
    get = Method(scoring_schedules.get_scoring_schedule)
    list = Method(scoring_schedules.list_scoring_schedules)
    pause = Method(scoring_schedules.pause_scoring_schedule)
    resume = Method(scoring_schedules.resume_scoring_schedule)
    delete = Method(scoring_schedules.delete_scoring_schedule)
