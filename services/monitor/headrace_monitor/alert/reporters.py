"""What other services reported, within a transaction of alerts."""

from __future__ import annotations

from headrace_monitor.alert.decisions.reporting import Report, apply_report, end_report
from headrace_monitor.alert.store import AlertTransaction


async def take_report(transaction: AlertTransaction, report: Report) -> bool:
    """Keep a report, and raise and resolve alerts by it; return False where one of a higher epoch holds."""
    epoch = await transaction.epoch_of(report.reporter)
    if epoch is not None and epoch > report.epoch:
        return False
    before, state = await transaction.reported(report.reporter)
    apply_report(report, state, before, transaction.now)
    await transaction.save(state)
    await transaction.keep_report(report)
    return True


async def end_silent_reporters(transaction: AlertTransaction) -> None:
    """Resolve what was reported by services that report no more."""
    for reporter in await transaction.silent_reporters():
        _, state = await transaction.reported(reporter)
        end_report(state, transaction.now)
        await transaction.save(state)
        await transaction.forget_reporter(reporter)
