//! Where the list, the shared page and the items of a site are.

use std::convert::Infallible;

use url::Url;

use crate::{
    ItemId,
    id::excerpt,
    item::IdPattern,
    manifest::{Problem, words::without_password},
    recipe::Recipe,
    template::{self, Template},
};

/// The URLs of a site, made of its recipe and of where the site is.
#[derive(Debug, Clone)]
pub struct Addresses {
    site: Url,
    list: Url,
    page: Option<Url>,
    item: Template,
    pattern: IdPattern,
}

impl Addresses {
    /// Resolves the recipe's URLs against `site`. The error has all that is wrong, with paths inside the recipe.
    pub fn new(site: &Url, recipe: &Recipe) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let list = fixed(site, &recipe.list.url, "list.url", &mut problems);
        let page = recipe.page.as_ref().map(|page| fixed(site, &page.url, "page.url", &mut problems));
        let pattern = IdPattern::new(&recipe.list.id_pattern)
            .map_err(|faults| {
                problems.extend(faults.iter().map(|f| Problem::new("list.idPattern", f, f.allowed())));
            })
            .ok();
        let item = item_template(site, &recipe.item.url, pattern.as_ref()).map_err(|p| problems.push(p)).ok();
        match (list, page, item, pattern) {
            (Some(list), page, Some(item), Some(pattern)) if problems.is_empty() => {
                Ok(Self { site: site.clone(), list, page: page.flatten(), item, pattern })
            }
            _ => Err(problems),
        }
    }

    /// Where the list is.
    #[must_use]
    pub fn list(&self) -> &Url {
        &self.list
    }

    /// Where the page is that items share; none: they share none.
    #[must_use]
    pub fn page(&self) -> Option<&Url> {
        self.page.as_ref()
    }

    /// How the list's entries are read.
    #[must_use]
    pub fn pattern(&self) -> &IdPattern {
        &self.pattern
    }

    /// Where an item is. Text of the item is percent-encoded, so that it stays in its place in the URL.
    /// None: it is not an id of this recipe.
    #[must_use]
    pub fn item(&self, id: &ItemId) -> Option<Url> {
        let groups = self.pattern.groups_of(id)?;
        let value = |name: &str| match name {
            "id" => Ok(encoded(id.as_str())),
            _ => groups.get(name).map(|text| encoded(text)).ok_or(()),
        };
        self.site.join(&self.item.fill(value).ok()?).ok()
    }
}

/// Everything but letters, digits and `* - . _` as `%XX`. An id has no space, the one character that forms encode otherwise.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

const HTTP: &str = "a path or URL that leads to `http` or `https`, without user name and password";

/// Where `text` leads from `site`; the error says what was found.
fn resolve(site: &Url, text: &str) -> Result<Url, String> {
    let url = site.join(text).map_err(|error| format!("{} ({error})", excerpt(text)))?;
    let plain =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if plain { Ok(url) } else { Err(excerpt(&without_password(text))) }
}

/// A URL without placeholders.
fn fixed(site: &Url, text: &str, path: &str, problems: &mut Vec<Problem>) -> Option<Url> {
    let url = if text.contains(['{', '}']) {
        Err(Problem::new(path, excerpt(text), "a URL without placeholders: there is one for all items"))
    } else {
        resolve(site, text).map_err(|found| Problem::new(path, found, HTTP))
    };
    url.map_err(|problem| problems.push(problem)).ok()
}

/// The URL of items as a template; without a pattern its names are not checked.
fn item_template(site: &Url, text: &str, pattern: Option<&IdPattern>) -> Result<Template, Problem> {
    let refuse = |found: String, allowed: &str| Problem::new("item.url", found, allowed);
    let template = Template::new(text).map_err(|error| refuse(error.to_string(), template::WORDS))?;
    if let Some(pattern) = pattern {
        let known: Vec<&str> =
            std::iter::once("id").chain(pattern.groups().iter().map(String::as_str)).collect();
        template.names_only(&known).map_err(|unknown| {
            refuse(unknown.to_string(), &format!("{}, from the groups of `idPattern`", unknown.known()))
        })?;
    }
    let filled = |with: &str| template.fill(|_| Ok::<_, Infallible>(with.to_owned())).unwrap_or_default();
    let leads = |with: &str| resolve(site, &filled(with)).map_err(|found| refuse(found, HTTP));
    let (one, other) = (leads("1")?, leads("2")?);
    if one.origin() != other.origin() {
        Err(refuse(excerpt(text), "placeholders in the path, query or fragment only, never in the host"))
    } else if one == other {
        Err(refuse(excerpt(text), "a URL with `{id}` or another placeholder, so that items differ"))
    } else {
        Ok(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(item_url: &str) -> Recipe {
        let yaml = format!(
            "mode: tab\nlist: {{url: /list, item: a, idPattern: '^/i/(?<id>(?<kind>[^-]+)-.+)$'}}\n\
             item: {{url: '{item_url}', doneWhen: {{selector: .end}}, take: [{{html: body}}]}}\n"
        );
        serde_yaml_ng::from_str(&yaml).unwrap()
    }

    fn addresses(item_url: &str) -> Result<Addresses, Vec<Problem>> {
        Addresses::new(&Url::parse("https://site.example/app/").unwrap(), &recipe(item_url))
    }

    #[test]
    fn items_have_urls() {
        for (template, id, url) in [
            ("/i/{id}", "a-1", "https://site.example/i/a-1"),
            ("{id}", "a-1", "https://site.example/app/a-1"),
            ("../{kind}?q={id}#x", "a-1", "https://site.example/a?q=a-1#x"),
            ("https://other.example/{id}", "a-1", "https://other.example/a-1"),
            ("/i/{id}", "a-/../../x", "https://site.example/i/a-%2F..%2F..%2Fx"),
            ("/i/{id}", "a-?q=1&b#c", "https://site.example/i/a-%3Fq%3D1%26b%23c"),
            ("/i/{id}", "a-%2e%2e", "https://site.example/i/a-%252e%252e"),
            ("{id}", "javascript:x-1", "https://site.example/app/javascript%3Ax-1"),
            ("{id}", "//evil.example/-1", "https://site.example/app/%2F%2Fevil.example%2F-1"),
        ] {
            let found = addresses(template).unwrap().item(&ItemId::new(id).unwrap());
            assert_eq!(found.unwrap().as_str(), url, "{template} {id}");
        }
        assert_eq!(addresses("/i/{id}").unwrap().item(&ItemId::new("nodash").unwrap()), None);
    }

    #[test]
    fn text_of_an_item_stays_on_the_site() {
        let addresses = addresses("/i/{id}").unwrap();
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..2000 {
            let text: String = (0..random.usize(1..9))
                .map(|_| char::from(random.choice("a-/.:@?#%&=~!".bytes()).unwrap()))
                .collect();
            let Ok(id) = ItemId::new(format!("a-{text}")) else { continue };
            let url = addresses.item(&id).unwrap();
            let mut path = url.path_segments().unwrap();
            assert_eq!(url.host_str(), Some("site.example"));
            assert_eq!((path.next(), path.clone().count()), (Some("i"), 1), "{url}");
            assert_eq!((url.query(), url.fragment()), (None, None), "{url}");
        }
    }

    #[test]
    fn refuses_urls_that_cannot_be_items() {
        for (template, path) in [
            ("/i", "item.url"),
            ("/i/{nope}", "item.url"),
            ("/i/{id", "item.url"),
            ("https://{id}.example/", "item.url"),
            ("javascript:{id}", "item.url"),
            ("https://u:p@site.example/{id}", "item.url"),
            ("data:text/html,{id}", "item.url"),
        ] {
            let problems = addresses(template).unwrap_err();
            assert_eq!(problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), [path], "{template}");
        }
        let mut recipe = recipe("/i/{id}");
        recipe.list.url = "/list/{id}".to_owned();
        recipe.list.id_pattern = "x".to_owned();
        let problems = Addresses::new(&Url::parse("https://site.example/").unwrap(), &recipe).unwrap_err();
        assert_eq!(
            problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
            ["list.url", "list.idPattern"]
        );
    }
}
