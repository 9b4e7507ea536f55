-- Versions keep their models in other formats than ONNX, with files of other types.

alter table versions add column format text not null default 'onnx' check (
    format in ('onnx', 'torchscript', 'pt2', 'savedmodel', 'tensorrt', 'python', 'fil', 'oip')
);

-- Which pools of batchers there are, as control planes reported them last, and the formats that each runs.
create table pools (
    name    text primary key,
    formats text[] not null
);

alter table blobs drop constraint blobs_type_check, add constraint blobs_type_check check (
    type in ('onnx', 'parquet', 'json', 'torchscript', 'pt2', 'savedmodel', 'tensorrt', 'python', 'requirements', 'trees')
);
