//! `scrapefleet dead`: what was given up, why, trying it again, and giving it up for good.

mod purge;

use scrapefleet_queue::{DeadLetter, Reason};

use crate::{
    CliError,
    args::{DeadCommand, FleetArgs, Which},
    fleet::Fleet,
    terminal::{printable, table},
};

/// Does what was asked about dead letters.
pub async fn dead(command: DeadCommand) -> Result<(), CliError> {
    match command {
        DeadCommand::List { fleet, reason, json } => list(&fleet, &reason, json).await,
        DeadCommand::Show { fleet, item } => show(&fleet, &item).await,
        DeadCommand::Replay { fleet, which } => replay(&fleet, &which).await,
        DeadCommand::Purge { fleet, which, yes } => purge::purge(&fleet, &which, yes).await,
    }
}

async fn list(args: &FleetArgs, reasons: &[Reason], json: bool) -> Result<(), CliError> {
    let mut letters = Fleet::load(args)?.read_queue().await?.shared().dead_letters().await?;
    letters.retain(|letter| is_for(letter, reasons));
    if json {
        println!("{}", serde_json::json!(letters));
    } else if letters.is_empty() {
        println!("no dead letters");
    } else {
        println!("{}", table(&rows(&letters)));
    }
    Ok(())
}

fn rows(letters: &[DeadLetter]) -> Vec<Vec<String>> {
    let head = ["ITEM", "REASON", "ATTEMPTS", "WHEN", "MESSAGE"].map(str::to_owned).to_vec();
    let row = |letter: &DeadLetter| {
        vec![
            name(letter),
            format!("{:?}", letter.failure.reason),
            letter.task.as_ref().map_or_else(|| "-".to_owned(), |task| task.attempt.to_string()),
            format!("{:.0}", letter.failure.at),
            printable(&letter.failure.message, 100),
        ]
    };
    std::iter::once(head).chain(letters.iter().map(row)).collect()
}

fn name(letter: &DeadLetter) -> String {
    letter.item.as_ref().map_or_else(|| "(unreadable)".to_owned(), ToString::to_string)
}

async fn show(args: &FleetArgs, item: &str) -> Result<(), CliError> {
    let fleet = Fleet::load(args)?;
    let letters = fleet.read_queue().await?.shared().dead_letters().await?;
    let letter = letters.iter().find(|letter| is_of(letter, item)).ok_or_else(|| no_letter(item))?;
    let mut rows = vec![
        vec!["item".to_owned(), name(letter)],
        vec!["reason".to_owned(), format!("{:?}", letter.failure.reason)],
        vec!["message".to_owned(), printable(&letter.failure.message, 2_000)],
        vec!["when".to_owned(), letter.failure.at.to_string()],
    ];
    if let Some(task) = &letter.task {
        rows.push(vec!["attempts".to_owned(), task.attempt.to_string()]);
        rows.push(vec!["url".to_owned(), printable(&task.url, 2_000)]);
        rows.push(vec!["lane".to_owned(), task.lane.to_string()]);
        rows.push(vec!["discovered".to_owned(), task.discovered_at.to_string()]);
        if let Some(before) = &task.last_failure {
            rows.push(vec![
                "before".to_owned(),
                format!("{:?}: {}", before.reason, printable(&before.message, 2_000)),
            ]);
        }
    }
    let evidence = letter.failure.evidence.iter();
    rows.extend(evidence.map(|key| vec!["evidence".to_owned(), fleet.place_of(&printable(key, 1_000))]));
    println!("{}", table(&rows));
    if let Some(raw) = &letter.raw {
        println!("\n{}", printable(raw, 10_000));
    }
    Ok(())
}

async fn replay(args: &FleetArgs, which: &Which) -> Result<(), CliError> {
    let opened = Fleet::load(args)?.open_queue().await?;
    let queue = opened.shared();
    let letters = chosen(queue.dead_letters().await?, which)?;
    for id in letters.iter().filter_map(|letter| letter.item.as_ref()) {
        queue.replay(id).await?;
        println!("{id} is ready again");
    }
    if letters.is_empty() {
        println!("no dead letters to replay");
    }
    Ok(opened.close().await?)
}

/// The letters that are meant. An item that has none is an error.
fn chosen(letters: Vec<DeadLetter>, which: &Which) -> Result<Vec<DeadLetter>, CliError> {
    for item in &which.items {
        if !letters.iter().any(|letter| is_of(letter, item)) {
            return Err(no_letter(item));
        }
    }
    let named =
        |letter: &DeadLetter| which.items.is_empty() || which.items.iter().any(|item| is_of(letter, item));
    Ok(letters.into_iter().filter(|letter| named(letter) && is_for(letter, &which.reason)).collect())
}

fn is_of(letter: &DeadLetter, item: &str) -> bool {
    letter.item.as_ref().is_some_and(|id| id.as_str() == item)
}

fn is_for(letter: &DeadLetter, reasons: &[Reason]) -> bool {
    reasons.is_empty() || reasons.contains(&letter.failure.reason)
}

fn no_letter(item: &str) -> CliError {
    CliError::Usage(format!("`{}` is no dead letter; `dead list` shows them", printable(item, 200)))
}

#[cfg(test)]
mod tests;
