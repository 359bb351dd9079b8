//! A Parquet file: rows are gathered and written column by column, some thousands at a time.

pub use parquet::errors::ParquetError;

use crate::private;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::Result,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};
use std::{fs::File, path::Path, sync::Arc};

/// Rows that are written together, at most.
const ROWS: usize = 50_000;
/// Bytes of text that are held before they are written, about.
const BYTES: usize = 32 << 20;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Int,
    /// 64 bits.
    Float,
    /// True or false.
    Bool,
    /// Microseconds since 1970, UTC.
    Time,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it holds.
    pub kind: Kind,
    /// May it be null?
    pub nullable: bool,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// None.
    Null,
    /// Of a text column.
    Text(String),
    /// Of a column of integers or times.
    Int(i64),
    /// Of a column of floats.
    Float(f64),
    /// Of a column of booleans.
    Bool(bool),
}

/// A file under construction; useless until it is finished.
pub struct ParquetFile {
    file: SerializedFileWriter<File>,
    nullable: Vec<bool>,
    /// By column.
    cells: Vec<Vec<Cell>>,
    rows: usize,
    bytes: usize,
}

impl ParquetFile {
    /// Makes the file, or empties it.
    pub fn create(path: &Path, columns: &[Column<'_>]) -> Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(private::create(path)?, schema(columns)?, Arc::new(properties))?;
        let nullable = columns.iter().map(|column| column.nullable).collect();
        Ok(Self { file, nullable, cells: vec![Vec::new(); columns.len()], rows: 0, bytes: 0 })
    }

    /// Adds a row; its cells stand in the order of the columns.
    pub fn push(&mut self, row: impl IntoIterator<Item = Cell>) -> Result<()> {
        for (cells, cell) in self.cells.iter_mut().zip(row) {
            self.bytes += if let Cell::Text(text) = &cell { text.len() } else { 8 };
            cells.push(cell);
        }
        self.rows += 1;
        if self.rows >= ROWS || self.bytes >= BYTES { self.write_rows() } else { Ok(()) }
    }

    /// Writes what is left and makes sure that it is on the disk.
    pub fn finish(mut self) -> Result<()> {
        self.write_rows()?;
        self.file.into_inner()?.sync_all()?;
        Ok(())
    }

    fn write_rows(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for (cells, nullable) in self.cells.iter_mut().zip(&self.nullable) {
            write_column(&mut group, std::mem::take(cells), *nullable)?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn schema(columns: &[Column<'_>]) -> Result<TypePtr> {
    let field = |column: &Column<'_>| {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Int => (Physical::INT64, None),
            Kind::Float => (Physical::DOUBLE, None),
            Kind::Bool => (Physical::BOOLEAN, None),
            Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        };
        let repetition = if column.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        Type::primitive_type_builder(column.name, physical).with_repetition(repetition).with_logical_type(logical).build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<_>>()?;
    Type::group_type_builder("row").with_fields(fields).build().map(Arc::new)
}

fn write_column(group: &mut SerializedRowGroupWriter<'_, File>, cells: Vec<Cell>, nullable: bool) -> Result<()> {
    let missing = || ParquetError::General("a row has more cells than there are columns".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    // 1 where there is a value, 0 where there is none.
    let levels: Option<Vec<i16>> = nullable.then(|| cells.iter().map(|cell| i16::from(*cell != Cell::Null)).collect());
    let levels = levels.as_deref();
    macro_rules! write {
        ($writer:expr, $pattern:pat => $value:expr) => {{
            let values: Vec<_> = cells.into_iter().filter_map(|cell| if let $pattern = cell { Some($value) } else { None }).collect();
            $writer.write_batch(&values, levels, None).map(drop)
        }};
    }
    match column.untyped() {
        ColumnWriter::ByteArrayColumnWriter(writer) => write!(writer, Cell::Text(text) => ByteArray::from(text.into_bytes())),
        ColumnWriter::Int64ColumnWriter(writer) => write!(writer, Cell::Int(number) => number),
        ColumnWriter::DoubleColumnWriter(writer) => write!(writer, Cell::Float(number) => number),
        ColumnWriter::BoolColumnWriter(writer) => write!(writer, Cell::Bool(truth) => truth),
        _ => Err(ParquetError::General("no column of this kind is ever made".to_owned())),
    }?;
    column.close()
}
