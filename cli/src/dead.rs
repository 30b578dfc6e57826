//! `scrapefleet dead`: what was given up, why, and trying it again.

use scrapefleet_api::ItemId;
use scrapefleet_queue::DeadLetter;

use crate::{
    CliError,
    args::{DeadCommand, FleetArgs},
    fleet::Fleet,
    terminal::{printable, table},
};

/// Does what was asked about dead letters.
pub async fn dead(command: DeadCommand) -> Result<(), CliError> {
    match command {
        DeadCommand::List { fleet, json } => list(&fleet, json).await,
        DeadCommand::Show { fleet, item } => show(&fleet, &item).await,
        DeadCommand::Replay { fleet, items, all } => replay(&fleet, &items, all).await,
    }
}

async fn list(args: &FleetArgs, json: bool) -> Result<(), CliError> {
    let letters = Fleet::load(args)?.read_queue().await?.shared().dead_letters().await?;
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
    let letter = letters
        .iter()
        .find(|letter| letter.item.as_ref().is_some_and(|id| id.as_str() == item))
        .ok_or_else(|| {
            CliError::Usage(format!("`{}` is no dead letter; `dead list` shows them", printable(item, 200)))
        })?;
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

async fn replay(args: &FleetArgs, items: &[String], all: bool) -> Result<(), CliError> {
    let opened = Fleet::load(args)?.open_queue().await?;
    let queue = opened.shared();
    let ids = if all {
        queue.dead_letters().await?.into_iter().filter_map(|letter| letter.item).collect()
    } else {
        items
            .iter()
            .map(|item| item.parse::<ItemId>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CliError::Usage(error.to_string()))?
    };
    for id in &ids {
        queue.replay(id).await?;
        println!("{id} is ready again");
    }
    if ids.is_empty() {
        println!("no dead letters to replay");
    }
    Ok(opened.close().await?)
}
