-- Results of jobs on their way to online requests. document: the publication. frozen: what the answers of the job after are
-- compared with.
create table publications (
    job bigint primary key references scoring_jobs,
    model text not null,
    version_digest text not null,
    state text not null,
    document jsonb not null,
    frozen text not null default '',
    publish_time timestamptz,
    revision bigint not null default 1
);
create index publications_to_do on publications (job) where state in ('checking', 'publishing');
create index publications_of_version on publications (model, version_digest, publish_time) where state = 'published';
