use super::*;

struct Made {
    home: tempfile::TempDir,
    files: Vec<ArchivedFile>,
}

impl Made {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let long = format!("nodes/{}/data", "n".repeat(150));
        let mut sources = Vec::new();
        for (path, content) in [("a/key", &b"secret"[..]), ("empty", b""), (&long, &[7; 3000])] {
            let lies = home.path().join(format!("source-{}", sources.len()));
            fs::write(&lies, content).unwrap();
            fs::set_permissions(
                &lies,
                fs::Permissions::from_mode(if path == "a/key" { 0o600 } else { 0o644 }),
            )
            .unwrap();
            sources.push(Source::of(&lies, path).unwrap());
        }
        write(&home.path().join("backup"), b"{\"a\":1}", &sources).unwrap();
        Self { home, files: sources.into_iter().map(|source| source.file).collect() }
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("backup")
    }
}

#[test]
fn what_is_archived_comes_back_with_its_permissions() {
    let made = Made::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&made.path()), 0o600);
    let archive = Archive::open(&made.path()).unwrap();
    assert_eq!(archive.manifest(), b"{\"a\":1}");
    let below = made.home.path().join("below");
    archive.unpack(&made.files, Some(&below)).unwrap();
    assert_eq!(fs::read(below.join("a/key")).unwrap(), b"secret");
    assert_eq!(mode(&below.join("a/key")), 0o600);
    assert_eq!(fs::read(below.join(&made.files[2].path)).unwrap(), [7; 3000]);
    // Nothing is written over, neither an archive nor a file.
    assert!(archive.unpack(&made.files, Some(&below)).is_err());
    assert!(matches!(write(&made.path(), b"", &[]), Err(ArchiveError::Exists(_))));
}

#[test]
fn any_tool_unpacks_it() {
    let made = Made::new();
    let listed = std::process::Command::new("tar").arg("-tzf").arg(made.path()).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
    let names: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    let wanted: Vec<String> = made.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(names[0], "manifest.json");
    assert_eq!(names[1..], wanted);
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let made = Made::new();
    let whole = fs::read(made.path()).unwrap();
    let other = made.home.path().join("other");
    let opens = |bytes: &[u8]| {
        fs::write(&other, bytes).unwrap();
        Archive::open(&other).is_ok()
    };
    assert!(opens(&whole));
    for at in 0..whole.len() {
        for bit in [0, 7] {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            assert!(!opens(&changed), "byte {at}, bit {bit}");
        }
    }
    for length in (0..whole.len()).step_by(7) {
        assert!(!opens(&whole[..length]), "{length} bytes");
    }
    assert!(!opens(&[&whole[..], b"x"].concat()));
}

#[test]
fn files_that_the_manifest_does_not_say_are_refused() {
    let made = Made::new();
    let archive = Archive::open(&made.path()).unwrap();
    type Make = fn(&mut Vec<ArchivedFile>);
    let table: [Make; 6] = [
        |files| drop(files.pop()),
        |files| files.push(files[0].clone()),
        |files| files.swap(0, 1),
        |files| files[0].sha256 = "00".repeat(32),
        |files| files[0].size_bytes += 1,
        |files| files[0].path = "../a/key".to_owned(),
    ];
    for make in table {
        let mut files = made.files.clone();
        make(&mut files);
        assert!(matches!(archive.unpack(&files, None), Err(ArchiveError::Damaged { .. })));
    }
    archive.unpack(&made.files, None).unwrap();
}

#[test]
fn a_path_stays_inside() {
    for wrong in ["/etc/x", "../x", "a/../../x", "", "./x/.."] {
        assert!(!is_inside(Path::new(wrong)), "{wrong}");
    }
    assert!(is_inside(Path::new("a/b")));
}

#[test]
fn a_file_that_changes_meanwhile_is_found() {
    let home = tempfile::tempdir().unwrap();
    let lies = home.path().join("f");
    fs::write(&lies, b"before").unwrap();
    let source = Source::of(&lies, "f").unwrap();
    for content in [&b"longer than before"[..], b"short"] {
        fs::write(&lies, content).unwrap();
        let to = home.path().join("backup");
        assert!(write(&to, b"{}", std::slice::from_ref(&source)).is_err() || content.starts_with(b"before"));
        assert!(!to.exists() && fs::read_dir(home.path()).unwrap().count() == 1);
    }
}
