//! SQLite files: private, written ahead, and with a schema version.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::ledger_name::LedgerName;

/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file cannot be made or read.
    #[error("database `{}` cannot be opened: check that its folder exists and is writable", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("database `{}` can be read by others: run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is another program's database.
    #[error("`{}` is a database of another kind: name another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer build.
    #[error("database `{}` has schema version {found} and this build knows {known}: use the newer build", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i32,
        /// The newest that this build knows.
        known: i32,
    },
    /// SQLite reports an error.
    #[error("database `{}` fails: check its disk's free space and integrity", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
}

/// What kind of database a file is.
pub(crate) struct Schema {
    /// SQLite's application id, which tells kinds apart.
    pub(crate) application_id: i32,
    /// What makes each version of the tables from the one before it; the first one starts from an empty file. A
    /// step that was released is never changed: files were made by it.
    pub(crate) steps: &'static [&'static str],
}

impl Schema {
    /// The newest version of the tables.
    fn version(&self) -> i32 {
        i32::try_from(self.steps.len()).unwrap_or(i32::MAX)
    }
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// Opens the database in a file, and makes it, mode 0600, when there is none.
    pub(crate) fn open(path: &Path, schema: &Schema) -> Result<Self, DatabaseError> {
        let unusable = |source| DatabaseError::Unusable { path: path.to_owned(), source };
        // Made here because SQLite would make it with the mode of the umask; its log files take its mode.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(error)),
        }
        if fs::metadata(path).map_err(unusable)?.permissions().mode() & 0o077 != 0 {
            return Err(DatabaseError::Exposed { path: path.to_owned() });
        }

        let failed = |source| DatabaseError::Sqlite { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
        let mut database = Self { path: path.to_owned(), connection };
        database.adopt(schema)?;
        Ok(database)
    }

    /// Runs statements as one transaction that is on disk when this returns.
    pub(crate) fn write<T>(
        &mut self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let run = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = statements(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run(&mut self.connection).map_err(|source| DatabaseError::Sqlite { path: self.path.clone(), source })
    }

    /// Reads.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        query(&self.connection).map_err(|source| DatabaseError::Sqlite { path: self.path.clone(), source })
    }

    fn adopt(&mut self, schema: &Schema) -> Result<(), DatabaseError> {
        enum Found {
            Ours,
            Foreign,
            Newer(i32),
        }
        let found = self.write(|connection| {
            let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
            let tables: i64 =
                connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables != 0 && pragma("application_id")? != schema.application_id {
                return Ok(Found::Foreign);
            }
            let version = if tables == 0 { 0 } else { pragma("user_version")? };
            if version > schema.version() {
                return Ok(Found::Newer(version));
            }
            let done = usize::try_from(version).unwrap_or(0);
            if done < schema.steps.len() {
                // All steps that are left and the new version are one transaction: a file is never between two.
                for step in schema.steps.iter().skip(done) {
                    connection.execute_batch(step)?;
                }
                connection.pragma_update(None, "application_id", schema.application_id)?;
                connection.pragma_update(None, "user_version", schema.version())?;
            }
            Ok(Found::Ours)
        })?;
        let path = self.path.clone();
        match found {
            Found::Ours => Ok(()),
            Found::Foreign => Err(DatabaseError::Foreign { path }),
            Found::Newer(found) => Err(DatabaseError::Newer { path, found, known: schema.version() }),
        }
    }
}

/// The row of a ledger, made when there is none.
pub(crate) fn ledger_row(connection: &Connection, name: &LedgerName) -> rusqlite::Result<i64> {
    let key = params![name.channel.as_str(), name.chaincode.as_str()];
    connection.execute("INSERT OR IGNORE INTO ledgers (channel, chaincode) VALUES (?1, ?2)", key)?;
    connection
        .query_row("SELECT ledger FROM ledgers WHERE channel = ?1 AND chaincode = ?2", key, |row| row.get(0))
}

/// A column of exactly `N` bytes.
pub(crate) struct Bytes<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> FromSql for Bytes<N> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let blob = value.as_blob()?;
        let blob_size = blob.len();
        blob.try_into().map(Self).map_err(|_| FromSqlError::InvalidBlobSize { expected_size: N, blob_size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [&str; 2] = ["CREATE TABLE t (x INTEGER) STRICT", "CREATE TABLE u (y INTEGER) STRICT"];
    const SCHEMA: Schema = Schema { application_id: 7, steps: &STEPS };

    #[test]
    fn a_database_is_private_versioned_and_of_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        drop(Database::open(&path, &SCHEMA).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(Database::open(&path, &SCHEMA).unwrap());

        let older = Schema { steps: &[STEPS[0]], ..SCHEMA };
        assert!(matches!(
            Database::open(&path, &older),
            Err(DatabaseError::Newer { found: 2, known: 1, .. })
        ));
        let other = Schema { application_id: 8, ..SCHEMA };
        assert!(matches!(Database::open(&path, &other), Err(DatabaseError::Foreign { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Database::open(&path, &SCHEMA), Err(DatabaseError::Exposed { .. })));
        let nowhere = Database::open(&folder.path().join("none/db"), &SCHEMA);
        assert!(matches!(nowhere, Err(DatabaseError::Unusable { .. })));
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut older = Database::open(&path, &Schema { steps: &[STEPS[0]], ..SCHEMA }).unwrap();
        older.write(|connection| connection.execute("INSERT INTO t VALUES (42)", [])).unwrap();

        // A step that fails leaves the file as it was.
        let broken = Schema { steps: &[STEPS[0], "CREATE TABLE u (y INTEGER); no statement"], ..SCHEMA };
        assert!(matches!(Database::open(&path, &broken), Err(DatabaseError::Sqlite { .. })));

        for _ in 0..2 {
            let database = Database::open(&path, &SCHEMA).unwrap();
            let kept: i64 = database
                .read(|connection| connection.query_row("SELECT x FROM t", [], |row| row.get(0)))
                .unwrap();
            assert_eq!(kept, 42);
            database.read(|connection| connection.prepare("SELECT y FROM u").map(|_| ())).unwrap();
        }
        // Who has the file open as it was goes on; who opens it anew has to be of the newer build.
        older.write(|connection| connection.execute("INSERT INTO t VALUES (43)", [])).unwrap();
        let reopened = Database::open(&path, &Schema { steps: &[STEPS[0]], ..SCHEMA });
        assert!(matches!(reopened, Err(DatabaseError::Newer { found: 2, known: 1, .. })));
    }

    #[test]
    fn a_failed_transaction_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::open(&folder.path().join("db"), &SCHEMA).unwrap();
        let outcome = database.write(|connection| {
            connection.execute("INSERT INTO t VALUES (1)", [])?;
            connection.execute("INSERT INTO t VALUES ('no integer')", [])
        });
        assert!(matches!(outcome, Err(DatabaseError::Sqlite { .. })));
        let rows: i64 = database
            .read(|connection| connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(rows, 0);
    }
}
