"""Outlay's kernels for Python: what `outlay audit` sees of texts, over Arrow tables, in Ray Data and in Spark.

>>> import outlay
>>> outlay.similarity("to be or not to be", "To be, or not?", "words:2")
0.75
"""

from ._outlay import Seen, Worker, __version__, look_at_texts, similarity

__all__ = [
    "Seen",
    "Worker",
    "__version__",
    "audit_batches",
    "audit_table",
    "look_at_texts",
    "similarity",
    "spark_batches",
]


def _added(names, lists):
    import pyarrow as pa

    types = {
        "exact": pa.uint64(),
        "private": pa.list_(pa.string()),
        "rules": pa.list_(pa.string()),
        "redacted": pa.large_string(),
    }
    return [(f"outlay_{name}", pa.array(lists[name], types[name])) for name in names]


def audit_table(table, text="text", columns=("exact", "private", "rules")):
    """An Arrow table or batch with what is found in its texts: `outlay_exact` (uint64; texts that say the same have it in
    common), `outlay_private` and `outlay_rules` (lists of names), and `outlay_redacted` where it is asked for.

    For Ray Data: `dataset.map_batches(outlay.audit_table, batch_format="pyarrow")`.
    """
    lists = look_at_texts(table.column(table.schema.get_field_index(text)).to_pylist())
    for name, array in _added(columns, lists):
        table = table.append_column(name, array)
    return table


def audit_batches(batches, text="text", columns=("exact", "private", "rules")):
    """The same for each of some record batches, as they come."""
    import pyarrow as pa

    for batch in batches:
        table = audit_table(pa.Table.from_batches([batch]), text, columns)
        yield from table.combine_chunks().to_batches()


def spark_batches(batches, text="text", columns=("exact", "private", "rules")):
    """`audit_batches` for Spark, `frame.mapInArrow(outlay.spark_batches, schema)`, with types that Spark has: `outlay_exact` is
    a bigint, the same 64 bits, signed.
    """
    import pyarrow as pa

    for batch in audit_batches(batches, text, columns):
        arrays, names = [], []
        for name, column in zip(batch.schema.names, batch.columns):
            if name == "outlay_exact":
                column = pa.Array.from_buffers(pa.int64(), len(column), column.buffers())
            elif name == "outlay_redacted":
                column = column.cast(pa.string())
            arrays.append(column)
            names.append(name)
        yield pa.RecordBatch.from_arrays(arrays, names=names)
