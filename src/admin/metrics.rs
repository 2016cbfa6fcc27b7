//! `/metrics`: the status in Prometheus' text format.

use std::fmt::Write as _;

use crate::status::Daemon;

/// The page of one status.
pub fn page(daemon: &Daemon) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, daemon);
    page
}

fn write(page: &mut String, daemon: &Daemon) -> std::fmt::Result {
    writeln!(
        page,
        "# HELP livestreamd_build_info What was built, with the value 1.\n# TYPE livestreamd_build_info gauge\n\
         livestreamd_build_info{{version=\"{}\"}} 1",
        daemon
            .version
            .replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', r"\n")
    )?;
    writeln!(
        page,
        "# HELP livestreamd_ready Whether nothing stands in the way, 0 or 1.\n# TYPE livestreamd_ready gauge\n\
         livestreamd_ready {}",
        u8::from(daemon.ready)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_the_version_and_whether_the_daemon_is_ready() {
        let daemon = Daemon {
            version: "1.2.3".to_owned(),
            ready: true,
            ..Daemon::default()
        };
        let page = page(&daemon);
        assert!(page.contains("livestreamd_build_info{version=\"1.2.3\"} 1\n"), "{page}");
        assert!(page.contains("livestreamd_ready 1\n"), "{page}");
    }
}
