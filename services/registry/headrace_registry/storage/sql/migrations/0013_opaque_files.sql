-- Files of any content that the source of a Python version reads, such as a pickle.
alter table blobs drop constraint blobs_type_check, add constraint blobs_type_check check (
    type in (
        'onnx', 'parquet', 'json', 'torchscript', 'pt2', 'savedmodel', 'tensorrt', 'python', 'requirements', 'trees',
        'opaque'
    )
);
