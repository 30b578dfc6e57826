//! What must be done on a machine, as a pure function of what was found there.

use std::fmt;

use super::facts::Facts;

/// The oldest Node.js that runs the Showdown server.
const NODE: u32 = 18;

/// What must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// These steps, in this order; none when everything is there.
    Steps(Vec<Step>),
    /// A person must do something first.
    Blocked(Blocked),
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Fetch the lists of Debian packages; on a machine just installed there are none.
    UpdatePackageLists,
    /// Install these Debian packages, or bring them to their newest version.
    InstallPackages(Vec<&'static str>),
}

/// Why a person must act first; says how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Only root may install these packages.
    NotRoot(Vec<&'static str>),
    /// There is no apt-get that could install these packages.
    NotDebian(Vec<&'static str>),
}

/// Decides what to do.
pub(super) fn plan(facts: &Facts) -> Plan {
    let packages = missing_packages(facts);
    if !packages.is_empty() && !facts.apt {
        return Plan::Blocked(Blocked::NotDebian(packages));
    }
    if !packages.is_empty() && !facts.root {
        return Plan::Blocked(Blocked::NotRoot(packages));
    }
    if packages.is_empty() {
        return Plan::Steps(Vec::new());
    }
    Plan::Steps(vec![Step::UpdatePackageLists, Step::InstallPackages(packages)])
}

fn missing_packages(facts: &Facts) -> Vec<&'static str> {
    let mut packages = Vec::new();
    // chromedriver drives only the Chrome of its own major version, so the two come together.
    if facts.chrome.major().is_none() || facts.chrome.major() != facts.driver.major() {
        packages.extend(["chromium", "chromium-driver"]);
    }
    if facts.node.major().is_none_or(|major| major < NODE) {
        packages.push("nodejs");
    }
    if facts.npm.major().is_none() {
        packages.push("npm");
    }
    packages
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpdatePackageLists => f.write_str("fetch the lists of Debian packages"),
            Self::InstallPackages(packages) => write!(f, "install Debian's {}", packages.join(", ")),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot(packages) => write!(
                f,
                "Debian packages are missing or too old, and only root can install them. Run this, then try again:\n\
                 \n    sudo sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {}'\n",
                packages.join(" ")
            ),
            Self::NotDebian(packages) => write!(
                f,
                "there is no apt-get here to install what is missing or too old (Debian calls it {}). Put Chrome and \
                 chromedriver of one major version, and Node.js {NODE} or later with npm, on the PATH, then try again",
                packages.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::facts::Presence, *};

    fn version(major: u32) -> Presence {
        Presence::Version(vec![major, 0])
    }

    /// A machine where everything is there.
    fn ready() -> Facts {
        Facts {
            root: true,
            apt: true,
            chrome: version(150),
            driver: version(150),
            node: version(20),
            npm: version(10),
        }
    }

    /// A machine just installed.
    fn bare() -> Facts {
        let missing = || Presence::Missing;
        Facts { chrome: missing(), driver: missing(), node: missing(), npm: missing(), ..ready() }
    }

    fn packages(facts: &Facts) -> Vec<&'static str> {
        missing_packages(facts)
    }

    const ALL: [&str; 4] = ["chromium", "chromium-driver", "nodejs", "npm"];

    #[test]
    fn nothing_to_do_when_all_is_there() {
        assert_eq!(plan(&ready()), Plan::Steps(vec![]));
    }

    #[test]
    fn who_misses_nothing_needs_neither_root_nor_debian() {
        assert_eq!(plan(&Facts { root: false, apt: false, ..ready() }), Plan::Steps(vec![]));
    }

    #[test]
    fn a_bare_machine_gets_everything_in_order() {
        let steps = vec![Step::UpdatePackageLists, Step::InstallPackages(ALL.to_vec())];
        assert_eq!(plan(&bare()), Plan::Steps(steps));
    }

    #[test]
    fn chrome_and_its_driver_come_together() {
        let both = vec!["chromium", "chromium-driver"];
        let broken = || Presence::Broken("no".to_owned());
        for facts in [
            Facts { chrome: Presence::Missing, ..ready() },
            Facts { driver: Presence::Missing, ..ready() },
            Facts { chrome: broken(), driver: broken(), ..ready() },
            Facts { driver: version(149), ..ready() },
        ] {
            assert_eq!(packages(&facts), both, "{facts}");
        }
    }

    #[test]
    fn node_must_be_new_enough_and_have_npm() {
        for (node, npm, wanted) in [
            (version(18), version(9), vec![]),
            (version(17), version(9), vec!["nodejs"]),
            (version(20), Presence::Missing, vec!["npm"]),
            (Presence::Missing, Presence::Missing, vec!["nodejs", "npm"]),
        ] {
            let facts = Facts { node, npm, ..ready() };
            assert_eq!(packages(&facts), wanted, "{facts}");
        }
    }

    #[test]
    fn without_root_the_exact_command_is_told() {
        let Plan::Blocked(blocked) = plan(&Facts { root: false, ..bare() }) else { panic!("not blocked") };
        assert_eq!(blocked, Blocked::NotRoot(ALL.to_vec()));
        let command = "sudo sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
                       --no-install-recommends chromium chromium-driver nodejs npm'";
        assert!(blocked.to_string().contains(command), "{blocked}");
    }

    #[test]
    fn elsewhere_than_on_debian_the_programs_are_told() {
        let Plan::Blocked(blocked) = plan(&Facts { apt: false, ..bare() }) else { panic!("not blocked") };
        assert!(matches!(blocked, Blocked::NotDebian(_)));
        assert!(blocked.to_string().contains("Node.js 18 or later"), "{blocked}");
    }
}
