//! Rows to Parquet files and back.
//!
//! Owns how columns are packed, what the log says of a file, and reading files of any age into the table's newest
//! columns. Encoding is pure and blocks for its time, so callers run it where they run other work of that kind;
//! putting and reading are asynchronous. Dictionaries, statistics and codecs are chosen by column, because on
//! hashes they cost time and save nothing.

use std::ops::Range;
use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderOptions, RowFilter};
use ::parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use ::parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::{ColumnPath, SchemaDescriptor};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::log::{DataFile, inside};
use super::{LakeError, Place};

mod statistics;

/// Rows that one row group holds at most.
const GROUP_ROWS: usize = 1 << 20;
/// Encoded bytes that one row group holds at most, about: what a reader of all columns has in memory at once.
const GROUP_BYTES: usize = 64 << 20;
/// Rows that are decoded at once.
const SCAN_ROWS: usize = 8192;
/// Bytes at the end of a file that are read with its length, so that most footers need one request.
const FOOTER_BYTES: usize = 64 << 10;

/// How the values of one column are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A dictionary while it pays: text and numbers that recur. What every column has that is not named.
    Dictionary,
    /// As they are: hashes and other bytes without order.
    Random,
    /// Compressed only: large values that hardly recur.
    Bulk,
    /// Differences: integers that mostly grow by little.
    Running,
    /// What each shares with the one before, and the rest: texts that begin alike and hardly recur, such as positions.
    Alike,
}

/// A file's bytes and what the log is to say of it. Not written yet.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: Bytes,
    stats: String,
}

impl Encoded {
    /// The size of the file.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it: never, for a file has a footer.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Makes data files for one table. Clones share everything.
#[derive(Clone, Debug)]
pub struct Writer {
    place: Place,
    /// Without partition columns.
    schema: SchemaRef,
    properties: Arc<WriterProperties>,
    statistics: Arc<[String]>,
}

impl Writer {
    pub(super) fn new(
        place: Place,
        schema: SchemaRef,
        partition_by: &[String],
        packing: &[(String, Packing)],
        statistics: &[String],
    ) -> Self {
        let fields = schema.fields().iter().filter(|field| !partition_by.contains(field.name())).cloned();
        Self {
            place,
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            properties: Arc::new(properties(packing)),
            statistics: statistics.into(),
        }
    }

    /// The columns that a file may hold: those of the table but the partition columns. Nullable ones may be left out.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Encodes rows into the bytes of a file. Blocks for about 1 µs a kilobyte; does no input or output.
    pub fn encode(&self, rows: &RecordBatch) -> Result<Encoded, LakeError> {
        self.check(rows.schema_ref())?;
        let failed = |source| LakeError::Parquet { table: self.place.name.clone(), doing: "write", source };
        let buffer = Vec::with_capacity(rows.get_array_memory_size() / 2);
        // Types are told by Parquet alone, as every engine reads them; Arrow's own copy of the schema is left out.
        let options =
            ArrowWriterOptions::new().with_properties(self.properties.as_ref().clone()).with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(buffer, rows.schema(), options).map_err(failed)?;
        writer.write(rows).map_err(failed)?;
        let bytes = writer.into_inner().map_err(failed)?.into();
        let stats = statistics::of(rows, &self.statistics).map_err(|error| failed(error.into()))?;
        Ok(Encoded { bytes, stats })
    }

    /// Puts the file, durably. It is part of the table once a commit adds it.
    ///
    /// `partition` holds one value for each partition column, as Delta writes it: dates as `2026-11-21`.
    pub async fn put(&self, encoded: Encoded, partition: &[(&str, Option<&str>)]) -> Result<DataFile, LakeError> {
        let world = &self.place.lake.world;
        let plain = |value: &str| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let mut path = String::new();
        for (name, value) in partition {
            // Folders are for people: the log alone says what a file's values are.
            if let Some(value) = value.filter(|value| plain(name) && plain(value)) {
                path.push_str(&format!("{name}={value}/"));
            }
        }
        path.push_str(&format!("part-{}.parquet", world.unique()));
        let object = self.place.folder.parts().chain(object_store::path::Path::from(path.as_str()).parts()).collect();
        let size = encoded.bytes.len() as i64;
        self.place
            .lake
            .objects
            .put(&object, encoded.bytes.into())
            .await
            .map_err(|source| self.place.io(&path, source))?;
        Ok(DataFile {
            path,
            partition_values: partition
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
                .collect(),
            size,
            modification_time: world.now() / 1000,
            data_change: true,
            stats: Some(encoded.stats),
            tags: None,
        })
    }

    /// Encodes and puts a few rows: too few to be worth a core of their own.
    pub async fn write(&self, rows: RecordBatch, partition: &[(&str, Option<&str>)]) -> Result<DataFile, LakeError> {
        self.put(self.encode(&rows)?, partition).await
    }

    /// Every column must be one of the table's, and every required one of the table's must be there.
    fn check(&self, rows: &Schema) -> Result<(), LakeError> {
        let incompatible = |what: String, found: String, expected: String| {
            Err(LakeError::Incompatible { table: self.place.name.clone(), what, found, expected })
        };
        for field in rows.fields() {
            let what = format!("column `{}` of a file as", field.name());
            match self.schema.field_with_name(field.name()) {
                Ok(own) if same(own, field) => {}
                Ok(own) => return incompatible(what, field.data_type().to_string(), own.data_type().to_string()),
                Err(_) => {
                    return incompatible(
                        what,
                        field.data_type().to_string(),
                        format!("one of the columns {:?}", names(&self.schema)),
                    );
                }
            }
        }
        match self.schema.fields().iter().find(|own| !own.is_nullable() && rows.index_of(own.name()).is_err()) {
            Some(own) => incompatible(
                "columns of a file".to_owned(),
                format!("{:?}", names(rows)),
                format!("`{}` among them", own.name()),
            ),
            None => Ok(()),
        }
    }
}

/// Equal but for the names that lists give their elements, which Parquet does not need.
fn same(a: &Field, b: &Field) -> bool {
    a.data_type().equals_datatype(b.data_type())
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

/// Snappy but for bulk, which has zstd at level 1.
///
/// Measured on 100,000 JSON orders of 1.1 KB, one core, pages of 1 MB, writing / reading / size against the bytes:
/// snappy 835 MB/s / 2.6 GB/s / 20.0 %, lz4_raw 716 MB/s / 3.5 GB/s / 19.4 %, zstd 1 711 MB/s / 2.3 GB/s / 9.4 %,
/// zstd 3 626 MB/s / 2.5 GB/s / 8.8 %, none 844 MB/s. On webhook deliveries of 12 KB zstd 1 is the fastest of all
/// to write (2.2 GB/s, 1.9 %; snappy 1.6 GB/s, 11.2 %): most of the time goes into moving bytes.
fn properties(packing: &[(String, Packing)]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("silversmith version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES));
    for (column, packing) in packing {
        let column = ColumnPath::from(column.as_str());
        properties = match packing {
            Packing::Dictionary => properties.set_column_dictionary_enabled(column, true),
            Packing::Random => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
                .set_column_statistics_enabled(column, EnabledStatistics::None),
            Packing::Bulk => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_compression(column.clone(), Compression::ZSTD(ZstdLevel::default()))
                .set_column_statistics_enabled(column, EnabledStatistics::None),
            Packing::Running => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
            Packing::Alike => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BYTE_ARRAY),
        };
    }
    properties.build()
}

/// Tells of each row whether it is kept.
pub type Keep = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send + Sync>;

/// Which rows to read: those for which the columns, in this order, are told true.
#[derive(Clone)]
pub struct Filter {
    /// Names of the columns looked at; not partition columns, whose values [`DataFile::partition_values`] tells.
    pub columns: Vec<String>,
    /// One value a row; null is false.
    pub keep: Keep,
}

/// What to read of a file.
#[derive(Clone, Default)]
pub struct Scan {
    /// The columns, in order; all if none.
    pub columns: Option<Vec<String>>,
    /// Decoded first, so that other columns are decoded for the rows kept only.
    pub filter: Option<Filter>,
}

impl Scan {
    /// These columns of every row.
    pub fn columns(names: &[&str]) -> Self {
        Self { columns: Some(names.iter().map(|&name| name.to_owned()).collect()), filter: None }
    }
}

/// Reads data files of one table. Clones share everything.
#[derive(Clone, Debug)]
pub struct Reader {
    place: Place,
    schema: SchemaRef,
}

impl Reader {
    pub(super) fn new(place: Place, schema: SchemaRef) -> Self {
        Self { place, schema }
    }

    /// All rows of a file in order, in the table's columns: partition values are added, columns that are younger
    /// than the file are null.
    pub async fn read(&self, file: &DataFile, columns: Option<&[&str]>) -> Result<Vec<RecordBatch>, LakeError> {
        self.scan(file, columns.map(Scan::columns).unwrap_or_default()).try_collect().await
    }

    /// The rows of a file that `scan` asks for, in order, some thousands at a time. At most one row group of the
    /// columns needed is held. Decoding happens while the stream is polled.
    pub fn scan(&self, file: &DataFile, scan: Scan) -> BoxStream<'static, Result<RecordBatch, LakeError>> {
        let (reader, file) = (self.clone(), file.clone());
        async move { reader.start(file, scan).await }.try_flatten_stream().boxed()
    }

    async fn start(
        self,
        file: DataFile,
        scan: Scan,
    ) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
        let (place, path) = (self.place.clone(), file.path.clone());
        let failed = move |error| unread(&place, &path, error);
        let object = self.object(&file)?;
        let wanted = Arc::new(match &scan.columns {
            Some(columns) => self.project(columns)?,
            None => self.schema.as_ref().clone(),
        });
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchStreamBuilder::new_with_options(object, options).await.map_err(&failed)?;
        let mask = mask(builder.parquet_schema(), wanted.fields().iter().map(|field| field.name().as_str()));
        let mut builder = builder.with_batch_size(SCAN_ROWS).with_projection(mask);
        if let Some(Filter { columns, keep }) = scan.filter {
            let looked_at = Arc::new(self.project(&columns)?);
            let mask = self::mask(builder.parquet_schema(), columns.iter().map(String::as_str));
            let file = file.clone();
            let predicate = ArrowPredicateFn::new(mask, move |rows| keep(&complete(&rows, &looked_at, &file)?));
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
        }
        let rows = builder.build().map_err(&failed)?;
        let whole = rows
            .map(move |rows| complete(&rows.map_err(&failed)?, &wanted, &file).map_err(|error| failed(error.into())));
        Ok(whole.boxed())
    }

    fn object(&self, file: &DataFile) -> Result<Object, LakeError> {
        let inner = inside(&file.path).map_err(|found| LakeError::Unsupported {
            table: self.place.name.clone(),
            found,
            expected: "files inside the table",
        })?;
        let path = self.place.folder.parts().chain(inner.parts()).collect();
        Ok(Object { place: self.place.clone(), path, size: file.size as u64 })
    }

    fn project(&self, columns: &[String]) -> Result<Schema, LakeError> {
        let field = |name: &String| {
            self.schema.field_with_name(name).cloned().map_err(|_| LakeError::Incompatible {
                table: self.place.name.clone(),
                what: "columns".to_owned(),
                found: format!("{:?}", names(&self.schema)),
                expected: format!("`{name}` among them"),
            })
        };
        Ok(Schema::new(columns.iter().map(field).collect::<Result<Vec<_>, _>>()?))
    }
}

/// Whose failure it is that a file cannot be read: the store's, where that did not give the bytes, else the file's.
fn unread(place: &Place, path: &str, error: ParquetError) -> LakeError {
    let source = match error {
        ParquetError::External(cause) => match cause.downcast::<object_store::Error>() {
            Ok(cause) => return place.io(path, *cause),
            Err(cause) => ParquetError::External(cause),
        },
        error => error,
    };
    LakeError::Parquet { table: place.name.clone(), doing: "read", source }
}

fn mask<'a>(file: &SchemaDescriptor, names: impl Iterator<Item = &'a str>) -> ProjectionMask {
    let roots = file.root_schema().get_fields();
    ProjectionMask::roots(file, names.filter_map(|name| roots.iter().position(|root| root.name() == name)))
}

/// `rows` of `file` in the columns `wanted`.
fn complete(rows: &RecordBatch, wanted: &SchemaRef, file: &DataFile) -> Result<RecordBatch, ArrowError> {
    let n = rows.num_rows();
    let column = |field: &Arc<Field>| -> Result<ArrayRef, ArrowError> {
        let found = match (rows.column_by_name(field.name()), file.partition_values.get(field.name())) {
            (Some(found), _) => found.clone(),
            (None, Some(Some(value))) => Arc::new(std::iter::repeat_n(Some(value), n).collect::<StringArray>()),
            (None, _) => new_null_array(field.data_type(), n),
        };
        if found.data_type() == field.data_type() { Ok(found) } else { cast(&found, field.data_type()) }
    };
    let columns = wanted.fields().iter().map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new_with_options(wanted.clone(), columns, &RecordBatchOptions::new().with_row_count(Some(n)))
}

/// A data file as a thing to read ranges of.
struct Object {
    place: Place,
    path: object_store::path::Path,
    size: u64,
}

impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let bytes = self.place.lake.objects.get_range(&self.path, range);
        bytes.map(|bytes| bytes.map_err(|error| ParquetError::External(Box::new(error)))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        let read = async move { self.place.lake.objects.get_ranges(&self.path, &ranges).await };
        read.map(|bytes| bytes.map_err(|error| ParquetError::External(Box::new(error)))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let size = self.size;
        async move {
            ParquetMetaDataReader::new()
                .with_prefetch_hint(Some(FOOTER_BYTES))
                .load_and_finish(self, size)
                .await
                .map(Arc::new)
        }
        .boxed()
    }
}
