"""Events that wait in a service's database until each webhook has taken them: at least once, in order.

A row is written in the transaction of what it tells of (`enqueue`), and sent by `Deliveries`, which `start_deliveries`
puts together. The database has the tables of `sql/outbox.sql`; what a webhook wants to hear of is the service's matter.
Lineage goes the same way, to a receiver that the settings name (`lineage`).
Needs the extras `headrace-servicekit[postgres,webhooks]`.
"""
