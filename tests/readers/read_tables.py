#!/usr/bin/env python3
"""Opens every table of a lake in deltalake, Polars and DuckDB, and compares what they see; prints JSON.

usage: read_tables.py LAKE       (pip install deltalake polars duckdb pyarrow)

deltalake and Polars read the table through its log; DuckDB reads the Parquet files of the active set, as a reader without
Delta would. Row counts, the names of columns and the count of nulls in each must agree. Exit 1 with the reason where they do
not, or where there is no table.
"""
import json, pathlib, sys

import deltalake, duckdb, polars, pyarrow


class Disagreement(Exception):
    pass


def nulls_of(table):
    return {name: table.column(name).null_count for name in table.column_names}


def read(path):
    """What the three see of one table, once they agree."""
    table = deltalake.DeltaTable(str(path))
    partitions = set(table.metadata().partition_columns)
    arrow = table.to_pyarrow_table()
    rows, nulls = arrow.num_rows, nulls_of(arrow)

    frame = polars.read_delta(str(path))
    seen = {name: frame[name].null_count() for name in frame.columns}
    if (frame.height, seen) != (rows, nulls):
        raise Disagreement(f"Polars sees {frame.height} rows and nulls {seen}, deltalake {rows} and {nulls}")

    files = table.file_uris()
    if files:
        # Partition columns lie in the log and in the folders, not in the files.
        stored = {name: count for name, count in nulls.items() if name not in partitions}
        counts = ", ".join(f'count(*) - count("{name}")' for name in stored)
        query = f"select count(*), {counts} from read_parquet($files, hive_partitioning = false, union_by_name = true)"
        found = duckdb.execute(query, {"files": [file.removeprefix("file://") for file in files]}).fetchone()
        if found != (rows, *stored.values()):
            raise Disagreement(f"DuckDB sees {found}, deltalake {(rows, *stored.values())} of {list(stored)}")
    elif rows:
        raise Disagreement(f"deltalake sees {rows} rows without a file")
    protocol = table.protocol()
    return {"version": table.version(), "files": len(files), "rows": rows, "columns": list(nulls),
            "partitions": sorted(partitions), "reader": protocol.min_reader_version, "writer": protocol.min_writer_version}


def main(lake):
    lake = pathlib.Path(lake)
    paths = sorted(log.parent for log in lake.rglob("_delta_log"))
    if not paths:
        sys.exit(f"found no table below {lake}, expected those that `silversmith run` makes there")
    tables, failures = {}, []
    for path in paths:
        name = str(path.relative_to(lake))
        try:
            tables[name] = read(path)
        except Disagreement as reason:
            failures.append(f"{name}: {reason}")
        except Exception as error:  # whatever a reader raises is the finding
            failures.append(f"{name}: {type(error).__name__}: {error}")
    print(json.dumps({"tables": tables, "readers": {m.__name__: m.__version__ for m in (deltalake, polars, duckdb, pyarrow)}}))
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main(sys.argv[1])
