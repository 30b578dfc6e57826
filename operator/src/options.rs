//! What the program is told on its command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use scrapefleet_telemetry::logging;
use url::Url;

/// Looks after the fleets of a cluster, or of one namespace.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "scrapefleet-operator",
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
    /// What to do instead of looking after fleets.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to look after fleets; there without a command.
    #[command(flatten)]
    pub options: Option<Options>,
}

/// What to do instead of looking after fleets.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Ask a program whether it is well: succeeds when the URL answers with a status of 200 to 299 within five seconds.
    Probe {
        /// What to get, as a rule the /readyz of a program.
        #[arg(long)]
        url: Url,
    },
}

/// How to look after fleets.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The namespace whose fleets are looked after; all when left out.
    #[arg(long, env = "SCRAPEFLEET_NAMESPACE")]
    pub namespace: Option<String>,
    /// The image of bots and watchers, for fleets that name none.
    #[arg(long, env = "SCRAPEFLEET_IMAGE")]
    pub image: String,
    /// The image of Chrome and its driver, for fleets that name none.
    #[arg(long, env = "SCRAPEFLEET_CHROME_IMAGE")]
    pub chrome_image: String,
    /// The port of /metrics, /livez, /readyz and /status.
    #[arg(long, env = "SCRAPEFLEET_HTTP_PORT", default_value_t = 8080)]
    pub port: u16,
    /// The namespace of the Lease by which operators decide who leads.
    #[arg(long, env = "SCRAPEFLEET_LEASE_NAMESPACE", default_value = "scrapefleet-system")]
    pub lease_namespace: String,
    /// The name of that Lease.
    #[arg(long, env = "SCRAPEFLEET_LEASE_NAME", default_value = "scrapefleet")]
    pub lease_name: String,
    /// The name of this operator, mostly that of its pod.
    #[arg(long, env = "SCRAPEFLEET_IDENTITY", default_value = "scrapefleet-operator")]
    pub identity: String,
    /// How log records are written.
    #[arg(long, env = "SCRAPEFLEET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// A kubeconfig; left out: that of the environment, or of the pod.
    #[arg(long, env = "SCRAPEFLEET_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
}

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl From<LogFormat> for logging::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_sound_and_the_charts_are_taken() {
        Arguments::command().debug_assert();
        let arguments = Arguments::try_parse_from([
            "scrapefleet-operator",
            "--namespace=space",
            "--image=i:1",
            "--chrome-image=c:1",
            "--port=8080",
            "--lease-namespace=system",
            "--lease-name=lease",
            "--identity=pod-1",
            "--log-format=json",
        ])
        .unwrap();
        let options = arguments.options.unwrap();
        assert_eq!(arguments.command, None);
        assert_eq!(options.namespace.as_deref(), Some("space"));
        assert_eq!(options.log_format, LogFormat::Json);
    }

    #[test]
    fn a_probe_needs_nothing_but_its_url() {
        let parsed = |args: &[&str]| Arguments::try_parse_from([&["scrapefleet-operator"], args].concat());
        let Command::Probe { url } =
            parsed(&["probe", "--url=http://a:8080/readyz"]).unwrap().command.unwrap();
        assert_eq!(url.as_str(), "http://a:8080/readyz");
        assert!(parsed(&["probe"]).is_err());
        let without = parsed(&[]).unwrap_err().to_string();
        assert!(without.contains("--image") && without.contains("--chrome-image"), "{without}");
        assert!(parsed(&["--image=i:1"]).unwrap_err().to_string().contains("--chrome-image"));
    }
}
