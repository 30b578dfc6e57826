//! What a person gets wrong, and what a machine lacks: a clear error each, nothing lost, nothing left behind.

use std::{net::TcpListener, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use scrapefleet_local_tests::{
    Fleet, Scrape,
    fleet::Output,
    rooms::{Room, Rooms},
};
use scrapefleet_test_mounts as mounts;

/// Any free port, unless the test is about ports.
fn port(more: &[&str]) -> Vec<&'static str> {
    if more.contains(&"--port") { Vec::new() } else { vec!["--port", "0"] }
}

/// A run that must fail at once, with this exit code, and say all of `says`.
async fn fails(fleet: &Fleet, more: &[&str], code: i32, says: &[&str]) -> Result<Output> {
    let output = fleet.output(&["run"], &[&port(more), &["--progress", "none"][..], more].concat()).await?;
    ensure!(output.code == Some(code), "exit code {:?}, not {code}: {output:?}", output.code);
    for words in says {
        ensure!(output.stderr.contains(words), "`{words}` is not said: {output:?}");
    }
    Ok(output)
}

async fn rooms() -> Result<(Rooms, Fleet)> {
    let site = Rooms::start().await?;
    site.add("one", Room::Lasts(500));
    let fleet = Fleet::new(&site.manifest(""))?;
    Ok((site, fleet))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_manifest_says_all_that_is_wrong() -> Result<()> {
    let fleet = Fleet::showdown("http://127.0.0.1:1", "  bots: { holdsPerBot: 0 }\n  wacther: {}\n")?;
    let output =
        fails(&fleet, &[], 15, &["spec.bots.holdsPerBot: found `0`", "spec.wacther", "did you mean"]).await?;
    ensure!(output.stderr.lines().count() == 3, "not one line each: {output:?}");
    ensure!(!fleet.data().exists(), "a wrong manifest made a data folder");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_manifest_is_named() -> Result<()> {
    let (_site, fleet) = rooms().await?;
    std::fs::remove_file(fleet.manifest())?;
    fails(&fleet, &[], 15, &["fleet.yaml", "No such file"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_chrome_says_how_to_install_it() -> Result<()> {
    let (_site, fleet) = rooms().await?;
    let mut run = fleet.command(&["run"])?;
    let output = run
        .args(["--port", "0"])
        .env("PATH", "/nowhere")
        .arg("--chrome")
        .arg("/nowhere/chrome")
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(10) && said.contains("/nowhere"), "{said}");
    ensure!(said.contains("apt-get install"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_a_way_out() -> Result<()> {
    let (_site, fleet) = rooms().await?;
    let other = TcpListener::bind("127.0.0.1:0")?;
    let port = other.local_addr()?.port().to_string();
    fails(&fleet, &["--port", &port], 15, &[&port, "--port 0"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_file_that_is_none_is_left_alone() -> Result<()> {
    let (_site, fleet) = rooms().await?;
    std::fs::create_dir_all(fleet.data())?;
    let queue = fleet.data().join("queue.redb");
    let garbage = vec![0x5a; 100_000];
    std::fs::write(&queue, &garbage)?;
    fails(&fleet, &[], 13, &["queue.redb"]).await?;
    ensure!(std::fs::read(&queue)? == garbage, "the damaged file was changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_run_uses_its_data_nothing_else_does() -> Result<()> {
    let (_site, fleet) = rooms().await?;
    let run = Scrape::start(&fleet).await?;
    let holder = format!("process {}", run.process_id()?);
    fails(&fleet, &[], 13, &["in use", &holder, "stop that run first"]).await?;
    for (words, more) in [
        (&["verify"][..], &[][..]),
        (&["dead", "list"], &[]),
        (&["dead", "show"], &["one"]),
        (&["dead", "replay"], &["--all"]),
        (&["dead", "purge"], &["--all", "--yes"]),
    ] {
        let output = fleet.output(words, more).await?;
        ensure!(output.code == Some(13), "{words:?}: {output:?}");
        ensure!(
            output.stderr.contains(&holder) && output.stderr.contains("stop that run first"),
            "{words:?}: {output:?}"
        );
    }
    ensure!(run.interrupt().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwritable_store_is_named() -> Result<()> {
    let (_site, fleet) = rooms().await?;
    std::fs::create_dir_all(fleet.data())?;
    std::fs::write(fleet.data().join("artifacts"), "a file where the folder belongs")?;
    fails(&fleet, &[], 14, &["artifacts"]).await?;
    Ok(())
}

/// A small file system that is unmounted again.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn at(path: &'a Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let options = std::ffi::CString::new(format!("size={size}"))?;
        mount("none", path, "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .context("cannot mount a small file system")?;
        Ok(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.0, UnmountFlags::DETACH) {
            eprintln!("{} is still mounted: {error}", self.0.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_storing_and_loses_nothing_when_there_is_room_again() -> Result<()> {
    if !mounts::are_possible("a_full_disk_stops_storing_and_loses_nothing_when_there_is_room_again")? {
        return Ok(());
    }
    let (site, fleet) = rooms().await?;
    let data = fleet.data();
    let _disk = SmallDisk::at(&data, "24m")?;
    let run = Scrape::start(&fleet).await?;
    run.until("storing", Duration::from_mins(1), |s| s["totals"]["stored"] == 1).await?;
    let ballast = data.join("ballast");
    fill(&ballast)?;
    site.add("two", Room::Lasts(500));
    let troubled = |s: &serde_json::Value| {
        s["watcher"]["unpublished"] == 1 || s["bots"][0]["holds"][0]["step"] == "storing"
    };
    run.until("troubled", Duration::from_mins(1), troubled).await?;
    std::fs::remove_file(&ballast)?;
    run.until("storing again", Duration::from_secs(90), |s| s["totals"]["stored"] == 2).await?;
    ensure!(run.interrupt().await?.success());
    let ledger = fleet.balanced_ledger().await?;
    ensure!(ledger["stored"] == 2, "{ledger}");
    Ok(())
}

/// Writes until nothing fits any more.
fn fill(path: &Path) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    for size in [1 << 16, 1 << 12, 1] {
        let block = vec![1_u8; size];
        while file.write_all(&block).is_ok() {}
    }
    Ok(())
}
