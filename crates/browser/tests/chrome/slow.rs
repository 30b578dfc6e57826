//! Steps that take longer than they should are told of.

use std::sync::mpsc;

use scrapefleet_browser::{Placement, Step, recipe::RecipeFactory};
use scrapefleet_policy::{Instant, Timeout};

use crate::{
    site::App,
    support::{STEP, UNRESPONSIVE, app_recipe, bot, item, settings, turn},
};

#[tokio::test]
async fn a_slow_step_is_told_once_and_the_wait_for_its_turn_is_no_part_of_it() {
    let _turn = turn().await;
    let app = App::start().await;
    let mut settings = settings(serde_json::from_value(app_recipe()).unwrap(), &app.url);
    settings.deadlines.step = Timeout::hard(STEP).soft(UNRESPONSIVE);
    // After the first two each waits longer for its turn than it may take.
    settings.politeness.actions_per_second = 0.8 / UNRESPONSIVE.as_secs_f64();
    let factory = RecipeFactory::new(settings).unwrap();
    let mut browser = bot(&factory).await;
    let (told, seen) = mpsc::channel();
    browser.on_slow(Box::new(move |step| told.send(step).unwrap()));
    // On a busy machine the page's own load may be slow.
    let opens = || seen.try_iter().filter(|step| *step == Step::Open).count();

    let began = Instant::now();
    for id in ["plain-1", "plain-2", "plain-3"] {
        browser.open(&item(&app.url, id), Placement::Ordinary).await.unwrap();
    }
    assert!(began.elapsed() > UNRESPONSIVE, "none had to wait for its turn");
    assert_eq!(opens(), 0);
    // The page waits for it in many short calls.
    browser.open(&item(&app.url, "never-1"), Placement::Ordinary).await.unwrap_err();
    assert_eq!(opens(), 1);
    browser.close().await;
}
