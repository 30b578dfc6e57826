//! `cargo xtask cluster`: a real Kubernetes of two nodes on this machine.

mod beside;
mod certificates;
mod clean;
mod command;
mod component;
mod control_groups;
mod control_plane;
mod debian;
mod disk;
mod files;
mod go;
mod image;
mod kubeconfig;
mod layout;
mod log;
mod mounts;
mod name;
mod network;
mod node;
mod own_folders;
mod plan;
mod platform;
mod pretend;
mod process;
mod progress;
mod relay;
mod services;
mod state;
mod status;
mod supervise;
mod tools;
mod turn;
mod up;
mod wait;

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use control_groups::Hierarchies;
use image::Builder;
use layout::{ClusterLayout, Place};
use name::ClusterName;
use network::Cable;
use progress::Progress;
pub(crate) use tools::kubernetes_version;

/// A real Kubernetes of two nodes on this machine, each with its own kubelet, containers and network.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the cluster, for more than one at a time [default: made from the path of this checkout]
    #[arg(long, global = true)]
    name: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the cluster, or repair what is missing of it
    Up {
        /// How many nodes
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// With RabbitMQ, an S3 store, Valkey, Prometheus and the Showdown site (the default)
        #[arg(long, overrides_with = "without_platform")]
        with_platform: bool,
        /// Nothing but Kubernetes
        #[arg(long)]
        without_platform: bool,
    },
    /// Build what `up` and the tests need, programs and images, and start nothing
    Prepare {
        /// Give way to everything else on this machine, and end with the program that started this
        #[arg(long)]
        beside: bool,
    },
    /// Take the cluster down; its images are kept, so that the next start is quick
    Down {
        /// Delete the images too
        #[arg(long)]
        purge: bool,
    },
    /// Say of each component whether it is alive, since when, and what a dead one said last; and of the platform's
    /// services whether they are ready
    Status,
    /// Bring an image to every node, built anew if what it is made of has changed
    LoadImage {
        /// One of the folders of `images/`, the name pods use for it, or an archive file
        image: String,
    },
    /// Run the cluster's kubectl
    Kubectl {
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Add nodes that are pretended, with all that is put on them, for load without containers; until Ctrl-C
    Kwok {
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=5000))]
        nodes: u16,
    },
    /// Print KUBECONFIG for a shell, and how to enter the cluster's network
    Env,
    /// Fault tests: stop and start a node, or pull its network cable and plug it in
    #[command(subcommand)]
    Node(NodeCommand),
    /// Carry connections from an inherited socket to an address (started by `up`)
    #[command(hide = true)]
    Relay {
        /// The address inside the cluster's network
        target: SocketAddr,
    },
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Kill every process and container of a node, as a power failure would
    Stop {
        /// `node1`, `node2`…
        node: String,
    },
    /// Start a stopped node, and nothing else
    Start {
        /// `node1`, `node2`…
        node: String,
    },
    /// Cut a node off the network
    Cut {
        /// `node1`, `node2`…
        node: String,
    },
    /// Join a cut node to the network again
    Heal {
        /// `node1`, `node2`…
        node: String,
    },
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let place = Location::of(args.name.as_deref())?;
    match args.command {
        Command::Relay { target } => relay::run(target).await,
        command @ Command::Prepare { beside: true } => {
            beside::give_way()?;
            beside::all_or_nothing(in_steps(place, command)).await
        }
        command => in_steps(place, command).await,
    }
}

/// Everything but the relay waits for programs and files, step by step.
async fn in_steps(place: Location, command: Command) -> Result<()> {
    tokio::task::spawn_blocking(|| run_steps(place, command)).await.context("the command panicked")?
}

fn run_steps(place: Location, command: Command) -> Result<()> {
    match command {
        Command::Up { nodes, without_platform, .. } => place.up(nodes, !without_platform),
        Command::Prepare { .. } => place.prepare(),
        Command::Down { purge } => place.down(purge),
        Command::Status => place.status(),
        Command::LoadImage { image } => place.load_image(&image),
        Command::Kubectl { arguments } => place.kubectl(&arguments),
        Command::Kwok { nodes } => place.kwok(nodes),
        Command::Env => place.env(),
        Command::Node(command) => place.node(&command),
        Command::Relay { .. } => bail!("the relay is not a sequence of steps"),
    }
}

/// Which cluster a command is about.
struct Location {
    name: ClusterName,
    cache: PathBuf,
    checkout: PathBuf,
}

impl Location {
    fn of(name: Option<&str>) -> Result<Self> {
        let checkout =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder above xtask")?.to_path_buf();
        let name = match name {
            Some(name) => ClusterName::parse(name)?,
            None => ClusterName::of_checkout(&checkout),
        };
        Ok(Self { name, cache: cache_folder()?, checkout })
    }

    fn up(self, nodes: u8, with_platform: bool) -> Result<()> {
        need_root()?;
        let progress = Progress::begin();
        debian::ensure(with_platform, progress)?;
        let tools = tools::ensure(&self.cache, &self.checkout, progress)?;
        let layout = ClusterLayout::new(self.name.clone(), &self.cache, tools, nodes);
        let _turn = turn::take(&layout.root, progress)?;
        let builder = self.builder(&layout, progress);
        let pause = builder.ensure(image::find(node::PAUSE_IMAGE)?)?;
        up::up(&layout, &Hierarchies::of_this_machine()?, progress)?;
        image::load_everywhere(&layout, builder.store(), &pause, progress)?;
        if with_platform {
            platform::ensure(&layout, &self.checkout, &builder, progress)?;
        }
        println!("export KUBECONFIG={}", layout.admin_kubeconfig().display());
        Ok(())
    }

    fn prepare(self) -> Result<()> {
        need_root()?;
        let progress = Progress::begin();
        debian::ensure(true, progress)?;
        let tools = tools::ensure(&self.cache, &self.checkout, progress)?;
        let builder = Builder::new(&self.cache, &self.checkout, &tools, progress);
        image::IMAGES.iter().try_for_each(|image| builder.ensure(image).map(drop))?;
        progress.say("programs and images are ready");
        Ok(())
    }

    fn down(self, purge: bool) -> Result<()> {
        need_root()?;
        let progress = Progress::begin();
        let nodes =
            state::State::load(&ClusterLayout::new(self.name.clone(), &self.cache, PathBuf::new(), 0).root);
        // A state that cannot be read must not keep the rest from being cleared away.
        let nodes = nodes.ok().flatten().map_or(0, |state| state.nodes);
        let layout = ClusterLayout::new(self.name, &self.cache, PathBuf::new(), nodes);
        let _turn = turn::take(&layout.root, progress)?;
        clean::remove(&layout, &Hierarchies::of_this_machine()?)?;
        if purge {
            clean::purge(&layout)?;
        }
        progress.say(format!("cluster {} is down", layout.name));
        Ok(())
    }

    fn builder(&self, layout: &ClusterLayout, progress: Progress) -> Builder {
        Builder::new(&self.cache, &self.checkout, &layout.tools, progress)
    }

    fn load_image(self, wanted: &str) -> Result<()> {
        need_root()?;
        let progress = Progress::begin();
        let (layout, _) = state::running(self.name.clone(), &self.cache)?;
        if Path::new(wanted).is_file() {
            return layout.nodes().try_for_each(|node| image::load_archive(&layout, node, Path::new(wanted)));
        }
        let image = image::find(wanted)?;
        debian::ensure(image.holds_the_site(), progress)?;
        let builder = self.builder(&layout, progress);
        let built = builder.ensure(image)?;
        image::load_everywhere(&layout, builder.store(), &built, progress)?;
        progress.say(format!("every node has image {}", built.image.name));
        Ok(())
    }

    fn status(self) -> Result<()> {
        let (layout, _) = state::running(self.name, &self.cache)?;
        let program = std::env::current_exe().context("the path of this program")?;
        let components = up::components(&layout, &program);
        print!("{}{}", status::report(&layout, &components), services::report(&layout));
        Ok(())
    }

    fn kubectl(self, arguments: &[String]) -> Result<()> {
        let (layout, _) = state::running(self.name, &self.cache)?;
        let error = std::process::Command::new(layout.tool("kubectl"))
            .env("KUBECONFIG", layout.admin_kubeconfig())
            .args(arguments)
            .exec();
        Err(error).with_context(|| format!("run {}", layout.tool("kubectl").display()))
    }

    fn kwok(self, nodes: u16) -> Result<()> {
        let progress = Progress::begin();
        let (layout, _) = state::running(self.name, &self.cache)?;
        let kwok = tools::ensure_one(&self.cache, &self.checkout, "kwok", progress)?;
        let sources = tools::sources(&self.checkout, "kwok", pretend::MODULE)?;
        let added = supervise::kubectl(&layout).args(["apply", "--server-side", "-f", "-"]);
        progress.during("adding nodes", || added.input(pretend::nodes(nodes)).run())?;
        progress.say(format!("{nodes} nodes added; {}", pretend::HOW_TO_REMOVE));
        let mut command = std::process::Command::new(kwok);
        command.args(pretend::arguments(&layout.admin_kubeconfig(), &sources));
        Err(command.exec()).context("run kwok")
    }

    fn env(self) -> Result<()> {
        let (layout, _) = state::running(self.name, &self.cache)?;
        println!("export KUBECONFIG={}", layout.admin_kubeconfig().display());
        println!("# enter the cluster's network (as root):");
        for place in layout.places() {
            println!(
                "#   nsenter --net={} bash   # {}, {}",
                layout.namespace(place).display(),
                place.name(),
                place.address()
            );
        }
        Ok(())
    }

    fn node(self, command: &NodeCommand) -> Result<()> {
        need_root()?;
        let progress = Progress::begin();
        let (layout, _) = state::running(self.name, &self.cache)?;
        let _turn = turn::take(&layout.root, progress)?;
        let groups = Hierarchies::of_this_machine()?;
        let find = |name: &str| find_node(&layout, name);
        match command {
            NodeCommand::Stop { node } => {
                clean::kill_node(&layout, &groups, find(node)?)?;
                progress.say(format!("{node} is stopped"));
            }
            NodeCommand::Start { node } => up::start_node(&layout, &groups, find(node)?, progress)?,
            NodeCommand::Cut { node } => {
                network::set_cable(&layout, find(node)?, Cable::Unplugged)?;
                progress.say(format!("{node} is cut off"));
            }
            NodeCommand::Heal { node } => {
                network::set_cable(&layout, find(node)?, Cable::Plugged)?;
                progress.say(format!("{node} is back on the network"));
            }
        }
        Ok(())
    }
}

fn find_node(layout: &ClusterLayout, name: &str) -> Result<Place> {
    layout.nodes().find(|node| node.name() == name).with_context(|| {
        let known: Vec<_> = layout.nodes().map(Place::name).collect();
        format!("there is no node {name:?}; cluster {} has {}", layout.name, known.join(", "))
    })
}

/// The folder for what can be made again: `$XDG_CACHE_HOME/scrapefleet`, `~/.cache/scrapefleet` by default.
fn cache_folder() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|folder| folder.join("scrapefleet"))
        .context("neither XDG_CACHE_HOME nor HOME is set to an absolute path: there is no place for the cluster's state")
}

/// One of the cluster's programs by its name, such as `helm`, built when it is not in the cache. It needs no cluster.
pub(crate) fn program(checkout: &Path, name: &str) -> Result<PathBuf> {
    tools::ensure_one(&cache_folder()?, checkout, name, Progress::begin())
}

fn need_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!("a cluster makes network namespaces, mounts and control groups: run this as root")
}
