-- A webhook is written as in every service, and then narrowed: until then it wants every alert.
alter table webhooks alter at_least set default 0, alter retrain_only set default false;
