//! Debian packages of servers, unpacked into a folder and run in it, without being installed: mail servers exclude each
//! other, and none of them may take the machine's own email.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The user who owns the delivered emails.
pub(super) const MAILBOX: u32 = 1000;
/// Where every server delivers, seen from inside of its folder: one Maildir for all recipients.
pub(super) const MAILDIR: &str = "/var/mail/all";

const PASSWD: &str = "root:x:0:0::/root:/bin/sh
opensmtpd:x:901:901::/nonexistent:/bin/false
opensmtpq:x:902:902::/nonexistent:/bin/false
postfix:x:903:903::/nonexistent:/bin/false
Debian-exim:x:904:904::/nonexistent:/bin/false
mailbox:x:1000:1000::/var/mail:/bin/sh
nobody:x:65534:65534::/nonexistent:/bin/false
";
const GROUP: &str = "root:x:0:
opensmtpd:x:901:
opensmtpq:x:902:
postfix:x:903:
Debian-exim:x:904:
postdrop:x:905:
mail:x:8:
mailbox:x:1000:
nogroup:x:65534:
";

/// Why a server cannot be had on this machine.
pub(super) type Skipped = String;

/// A package and the libraries it needs, unpacked into a folder that becomes the server's file system.
pub(super) struct Package {
    name: &'static str,
    directory: tempfile::TempDir,
}

/// A server that ends, with all its processes, when it is dropped.
pub(super) struct Server {
    process: Child,
    pub(super) port: u16,
    log: PathBuf,
    package: Package,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The first process of the namespace ends with this one, and all others with that.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a program and returns what it printed, or the last line of its complaint.
fn run(command: &mut Command) -> Result<String, Skipped> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name}: {}", complaint.lines().last().unwrap_or("failed without a word")))
}

/// The files below a folder; none if it does not exist.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // A server may remove what is being listed.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Package {
    /// Downloads and unpacks a package with the libraries that are not installed, or says why that cannot be done.
    pub(super) fn unpack(name: &'static str) -> Result<Self, Skipped> {
        // A folder of its own becomes the root directory, which only root can arrange, as the servers demand root too.
        run(Command::new("unshare").args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "chroot",
            "/",
            "true",
        ]))?;
        let package = Self { name, directory: tempfile::tempdir().map_err(|error| error.to_string())? };
        package.download(name)?;
        for line in run(Command::new("apt-cache").args(["depends", "--important", name]))?.lines() {
            let Some(library) = line.trim().strip_prefix("Depends: lib") else { continue };
            let library = format!("lib{library}");
            let state = run(Command::new("dpkg-query").args(["-W", "-f", "${Status}", &library]));
            if state.as_deref() != Ok("install ok installed") {
                // One that is not needed after all may be missing; the check below names one that is.
                let _ = package.download(&library);
            }
        }
        package.copy_libraries()?;
        for folder in ["dev", "tmp", "run", "var/run", "var/spool", "var/lib", "var/log", "var/mail", "etc"] {
            package.folder(folder, 0, 0, 0o755);
        }
        package.folder("tmp", 0, 0, 0o1777);
        package.folder("var/mail", MAILBOX, MAILBOX, 0o755);
        package.file("etc/passwd", PASSWD);
        package.file("etc/group", GROUP);
        package.file("etc/hosts", "127.0.0.1 localhost\n");
        package.file("etc/mailname", "mx.example.com\n");
        // Nothing is looked up.
        package.file("etc/resolv.conf", "");
        Ok(package)
    }

    /// The server's root directory.
    pub(super) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn download(&self, name: &str) -> Result<(), Skipped> {
        let folder = self.directory.path().join("packages").join(name);
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        run(Command::new("apt-get")
            .args(["-q", "-o", "APT::Sandbox::User=root", "download", name])
            .current_dir(&folder))?;
        for file in files(&folder) {
            run(Command::new("dpkg-deb").arg("-x").arg(file).arg(self.root()))?;
        }
        Ok(())
    }

    /// Copies the machine's libraries that the unpacked programs are linked to, and a shell.
    fn copy_libraries(&self) -> Result<(), Skipped> {
        let root = self.root();
        let mut programs = vec![PathBuf::from("/bin/sh")];
        let mut places = BTreeSet::new();
        for file in files(&root) {
            let is_library = file.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
            if is_library {
                places.extend(file.parent().map(Path::to_path_buf));
            }
            let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
            if is_library || mode & 0o111 != 0 {
                programs.push(file);
            }
        }
        let places: Vec<_> = places.iter().map(|place| place.to_string_lossy()).collect();
        // It fails for scripts, and goes on.
        let linked = Command::new("ldd")
            .args(&programs)
            .env("LD_LIBRARY_PATH", places.join(":"))
            .output()
            .map_err(|error| format!("ldd: {error}"))?;
        let mut needed = BTreeSet::from([PathBuf::from("/bin/sh")]);
        for line in String::from_utf8_lossy(&linked.stdout).lines() {
            if let Some((library, _)) = line.split_once(" => not found") {
                return Err(format!("the library {} is missing", library.trim()));
            }
            let paths = line.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
            needed.extend(paths.map(PathBuf::from).filter(|path| !path.starts_with(&root)));
        }
        for path in needed {
            let copy = root.join(path.strip_prefix("/").unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).map_err(|error| error.to_string())?;
            std::fs::copy(&path, copy).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Creates a folder inside of the root directory.
    pub(super) fn folder(&self, path: &str, user: u32, group: u32, mode: u32) {
        let path = self.root().join(path);
        std::fs::create_dir_all(&path).unwrap();
        chown(&path, Some(user), Some(group)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    /// Creates a file inside of the root directory.
    pub(super) fn file(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Starts the server, which stays in the foreground, and waits until it listens.
    pub(super) async fn start(self, program: &str, options: &[&str], port: u16) -> Server {
        let log = self.directory.path().join("log");
        let output = File::create(&log).unwrap();
        // The folder and its devices are seen only in the namespace, and vanish with it. The shell stays as its first
        // process: the kernel forgets to kill a child with its parent once the child changes its user, as servers do.
        let process = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"])
            .arg(r#"mount --rbind /dev "$0/dev" && { chroot "$0" "$@" & wait $!; }"#)
            .arg(self.root())
            .arg(program)
            .args(options)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut server = Server { process, port, log, package: self };
        for _ in 0..600 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return server;
            }
            if server.process.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} does not listen:\n{}", server.package.name, server.log());
    }
}

impl Server {
    /// What the server printed and wrote to its logs.
    pub(super) fn log(&self) -> String {
        let logs = files(&self.root().join("var/log"));
        std::iter::once(&self.log).chain(&logs).map(|log| std::fs::read_to_string(log).unwrap()).collect()
    }

    pub(super) fn root(&self) -> PathBuf {
        self.package.root()
    }

    /// Waits until nothing is in the folders of its queue, and returns the recipients of what it has delivered, sorted.
    pub(super) async fn delivered(&self, queues: &[&str]) -> Vec<String> {
        let waiting = || queues.iter().map(|queue| files(&self.root().join(queue)).len()).sum::<usize>();
        for _ in 0..1_200 {
            if waiting() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(waiting(), 0, "{} does not deliver:\n{}", self.package.name, self.log());
        let maildir = self.root().join(MAILDIR.trim_start_matches('/'));
        let mut recipients = Vec::new();
        for file in files(&maildir.join("new")) {
            let bytes = std::fs::read(&file).unwrap();
            let email = mail_parser::MessageParser::default().parse(&bytes).unwrap();
            let to = email.to().and_then(|to| to.first()).and_then(|to| to.address());
            recipients.push(to.expect("a recipient").to_owned());
        }
        recipients.sort();
        recipients
    }
}
