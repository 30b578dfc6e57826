//! The list.

use std::sync::atomic::Ordering::SeqCst;

use scrapefleet_browser::{BrowserFactory, Fault, Layer, ListPage, Step};
use serde_json::Value;

use crate::{
    site::App,
    support::{REFRESH, STEP, app_recipe, factory, settings, timed, turn},
};

async fn shown(list: &mut Box<dyn ListPage>) -> Vec<String> {
    list.refresh().await.unwrap().items.into_iter().map(|item| item.id.into()).collect()
}

#[tokio::test]
async fn a_list_is_refreshed_in_place() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let mut list = factory.list_page().await.unwrap();
    assert!(shown(&mut list).await.is_empty(), "an empty list is a list");

    app.list(&["plain-3", "plain-2", "plain-3", "NO", "../x"]);
    let window = timed("refresh", REFRESH, list.refresh()).await.unwrap();
    assert_eq!(window.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["plain-3", "plain-2"]);
    assert_eq!(window.items[0].url, format!("{}/room/plain-3", app.url));
    assert_eq!(window.unreadable, ["/room/NO", "/room/../x"]);
    assert_eq!(window.limit, Some(4));

    let began = scrapefleet_policy::Instant::now();
    for n in 0..20 {
        app.list(&[&format!("plain-{n}")]);
        assert_eq!(shown(&mut list).await, [format!("plain-{n}")], "each answer is awaited");
    }
    println!("refresh: {:.1?} each", began.elapsed() / 20);
    assert_eq!(app.state.loads.load(SeqCst), 1);

    // No answer: an error in time, and a reload that helps once the site answers again.
    app.state.silent.store(true, SeqCst);
    let error = timed("silent list", REFRESH, list.refresh()).await.unwrap_err();
    assert_eq!((error.step, error.fault), (Step::Refresh, Fault::Unusable));
    assert_eq!(error.message, "the list did not answer a refresh");
    assert_eq!(error.selector.as_deref(), Some("button[name=refresh]"));
    app.state.silent.store(false, SeqCst);
    timed("reload", STEP, list.reload()).await.unwrap();
    assert_eq!(shown(&mut list).await, ["plain-19"]);

    // A login wall instead of an answer: the site refuses, and it is known at once.
    app.state.wall.store(true, SeqCst);
    let error = timed("login wall", REFRESH / 2, list.refresh()).await.unwrap_err();
    assert_eq!((error.fault, error.layer()), (Fault::SiteRefuses, Layer::Site));
    assert_eq!(error.message, "Please log in");
    app.state.wall.store(false, SeqCst);
    timed("reload", STEP, list.reload()).await.unwrap();
    assert_eq!(shown(&mut list).await, ["plain-19"]);

    // A modal: the list is broken until it is loaded anew.
    app.state.modal.store(true, SeqCst);
    list.refresh().await.unwrap();
    let error = list.refresh().await.unwrap_err();
    assert_eq!(error.message, "the list is broken: You have been disconnected");
    app.state.modal.store(false, SeqCst);
    list.reload().await.unwrap();
    assert_eq!(shown(&mut list).await, ["plain-19"]);
    assert!(list.evidence().await.html.is_some());
    list.close().await;
}

#[tokio::test]
async fn without_a_token_a_change_of_the_list_is_the_answer() {
    let _turn = turn().await;
    let app = App::start().await;
    let mut recipe = app_recipe();
    recipe["list"]["refresh"].as_object_mut().unwrap().remove("answered");
    recipe["list"]["item"] = "#list .rows a.rwo".into();
    app.list(&["plain-1"]);
    let wrong = factory(recipe.clone(), &app.url);
    let mut list = wrong.list_page().await.unwrap();
    let error = timed("wrong selector", STEP, list.refresh()).await.unwrap_err();
    assert_eq!((error.step, error.fault, error.layer()), (Step::Refresh, Fault::NotFound, Layer::Site));
    assert_eq!(error.selector.as_deref(), Some("#list .rows a.rwo"));
    assert_eq!(error.url, format!("{}/app", app.url));
    list.close().await;

    recipe["list"]["item"] = "#list a.row".into();
    let right = factory(recipe, &app.url);
    let mut list = right.list_page().await.unwrap();
    assert_eq!(shown(&mut list).await, ["plain-1"]);
    app.list(&["plain-2", "plain-1"]);
    assert_eq!(shown(&mut list).await, ["plain-2", "plain-1"]);
    list.close().await;
}

#[tokio::test]
async fn what_a_list_waits_for_is_told_long_before_it_is_given_up() {
    let _turn = turn().await;
    let app = App::start().await;
    app.list(&["plain-1"]);
    let told = async |recipe: Value, field: &str| {
        let factory = factory(recipe, &app.url);
        let mut list = factory.list_page().await.unwrap();
        let mut waits = list.waits().unwrap();
        let told = waits.wait_for(|waiting| waiting.as_ref().is_some_and(|waiting| waiting.field == field));
        let told = async { timed("told", STEP / 3, told).await.unwrap().clone().unwrap() };
        let (looked, told) = tokio::join!(list.refresh(), told);
        assert_eq!((told.step, told.limit), (Step::Refresh, STEP));
        assert_eq!(told.url, format!("{}/app", app.url));
        assert_eq!(*list.waits().unwrap().borrow(), None, "it does not wait any more");
        list.close().await;
        (looked, told.selector)
    };

    let mut wrong = app_recipe();
    wrong["list"]["item"] = "#list a.rwo".into();
    let (looked, selector) = told(wrong, "list.item").await;
    assert_eq!(looked.unwrap_err().selector.as_ref(), Some(&selector));
    assert_eq!(selector, "#list a.rwo");

    let mut wrong = app_recipe();
    wrong["list"]["refresh"]["click"] = "button.none".into();
    let (looked, selector) = told(wrong, "list.refresh.click").await;
    assert_eq!((looked.unwrap_err().fault, selector.as_str()), (Fault::Script, "button.none"));

    let mut late = app_recipe();
    late["list"]["item"] = "#list a.late".into();
    late["initScript"] = "setInterval(() => {
        const row = document.querySelector('#list a.row');
        if (row) setTimeout(() => row.classList.add('late'), 1000);
    }, 100)"
        .into();
    let (looked, selector) = told(late, "list.item").await;
    assert_eq!(looked.unwrap().items.len(), 1, "a list that is slow is a list");
    assert_eq!(selector, "#list a.late");

    app.state.silent.store(true, SeqCst);
    let (looked, selector) = told(app_recipe(), "list.refresh.answered").await;
    assert_eq!(looked.unwrap_err().message, "the list did not answer a refresh");
    assert_eq!(selector, "button[name=refresh]");
}

#[tokio::test]
async fn robots_txt_decides_unless_it_is_ignored() {
    let app = App::start().await;
    let with_robots = |status: u16, text: &str| {
        *app.state.robots.lock().unwrap() = Some((status, text.to_owned()));
        let mut settings = settings(serde_json::from_value(app_recipe()).unwrap(), &app.url);
        settings.politeness.robots_txt = scrapefleet_api::politeness::RobotsTxt::Respect;
        scrapefleet_browser::recipe::RecipeFactory::new(settings).unwrap()
    };
    for (status, text, fault) in [
        (200, "User-agent: *\nDisallow: /app", Fault::Forbidden),
        (200, "User-agent: scrapefleet\nDisallow: /\nUser-agent: *\nAllow: /", Fault::Forbidden),
        (503, "", Fault::SiteUnreachable),
    ] {
        let _turn = turn().await;
        let error = with_robots(status, text).list_page().await.err().unwrap();
        assert_eq!((error.step, error.fault, error.layer()), (Step::Load, fault, Layer::Site), "{error}");
        assert_eq!(app.state.loads.load(SeqCst), 0, "nothing was opened");
    }
    let _turn = turn().await;
    let factory = with_robots(200, "User-agent: *\nDisallow: /room/plain-1\nUser-agent: other\nDisallow: /");
    let mut browser = factory.bot_browser(0).await.unwrap();
    let (forbidden, allowed) =
        (crate::support::item(&app.url, "plain-1"), crate::support::item(&app.url, "plain-2"));
    let error = browser.open(&forbidden, scrapefleet_browser::Placement::Ordinary).await.unwrap_err();
    assert_eq!((error.fault, error.layer()), (Fault::Forbidden, Layer::Item), "{error}");
    browser.open(&allowed, scrapefleet_browser::Placement::Ordinary).await.unwrap();
    browser.close().await;
}
