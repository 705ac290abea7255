//! From a header to what each column holds.

use mkt_connect::{Error, ErrorKind};

use crate::metric::Metric;

/// What a column can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The network's id of the post.
    Id,
    /// The network.
    Network,
    /// When it was published; the only column that must be there.
    PublishedAt,
    /// The type of post.
    Kind,
    /// What was written.
    Text,
    /// Where it can be seen.
    Url,
    /// Whether it was promoted.
    Paid,
    /// A count.
    Count(Metric),
    /// Nothing that is read here, whatever its name suggests.
    Ignored,
}

/// Names without case, white space, underscores and hyphens.
const KNOWN: &[(Field, &[&str])] = &[
    (Field::Id, &["postid", "id", "mediaid", "idpublication"]),
    (Field::Network, &["platform", "network", "plateforme", "réseau", "reseau"]),
    (
        Field::PublishedAt,
        &[
            "publishedat",
            "createdtime",
            "publishtime",
            "timestamp",
            "datetime",
            "date",
            "heuredepublication",
            "datedepublication",
        ],
    ),
    (Field::Kind, &["type", "posttype", "mediatype", "contenttype", "typedepublication"]),
    (Field::Text, &["text", "message", "caption", "description", "texte", "légende"]),
    (Field::Url, &["url", "permalink", "permalinkurl", "lien", "lienpermanent"]),
    (Field::Paid, &["paid", "promoted", "sponsored", "sponsorisé", "sponsorise", "payant"]),
    (
        Field::Count(Metric::Likes),
        &["likes", "like", "reactions", "favourites", "favorites", "jaime", "j'aime", "réactions"],
    ),
    (Field::Count(Metric::Comments), &["comments", "comment", "replies", "commentaires"]),
    (Field::Count(Metric::Shares), &["shares", "share", "reposts", "reblogs", "partages"]),
    (Field::Count(Metric::Saves), &["saves", "saved", "bookmarks", "enregistrements"]),
    (Field::Count(Metric::Reach), &["reach", "portée", "portee", "couverture"]),
    (Field::Count(Metric::Impressions), &["impressions"]),
    (Field::Count(Metric::Views), &["views", "vues"]),
    (Field::Count(Metric::Followers), &["followers", "abonnés", "abonnes"]),
];

fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The columns of a file.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    pub(super) fields: Vec<Field>,
}

impl Columns {
    pub(super) fn read(
        names: Vec<String>,
        mapping: &[(String, Field)],
        operation: &'static str,
    ) -> Result<Self, Error> {
        let refuse = |detail: String| Err(Error::new(ErrorKind::Input, "csv", operation).with_detail(detail));
        let short = |name: &str| name.chars().take(40).collect::<String>();
        for (wanted, _) in mapping {
            if !names.iter().any(|name| folded(name) == folded(wanted)) {
                return refuse(format!("the header has no column {:?}", short(wanted)));
            }
        }
        let fields: Vec<Field> = names.iter().map(|name| field_of(&folded(name), mapping)).collect();
        for (index, field) in fields.iter().enumerate() {
            if *field != Field::Ignored
                && let Some(earlier) = fields[..index].iter().position(|other| other == field)
            {
                let (a, b) = (short(&names[earlier]), short(&names[index]));
                return refuse(format!("the columns {a:?} and {b:?} hold the same thing; map one of them"));
            }
        }
        if !fields.contains(&Field::PublishedAt) {
            return refuse("the header has no column with the time of publication (published_at)".to_owned());
        }
        if !fields.iter().any(|field| matches!(field, Field::Count(_))) {
            return refuse("the header has no column with a count (likes, comments, reach, …)".to_owned());
        }
        Ok(Self { names, fields })
    }
}

fn field_of(folded_name: &str, mapping: &[(String, Field)]) -> Field {
    let mapped = mapping.iter().find(|(name, _)| folded(name) == folded_name).map(|(_, field)| *field);
    let known = || {
        let entry = KNOWN.iter().find(|(_, names)| names.contains(&folded_name));
        entry.map(|(field, _)| *field).filter(|field| !mapping.iter().any(|(_, taken)| taken == field))
    };
    mapped.or_else(known).unwrap_or(Field::Ignored)
}

/// The separator that occurs most often in the header outside quotation marks.
pub(super) fn separator_of(header: &[u8]) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in header {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if !quoted => {
                for (separator, count) in &mut counts {
                    *count += usize::from(byte == separator);
                }
            }
            _ => {}
        }
    }
    let [comma, rest @ ..] = counts;
    rest.into_iter().fold(comma, |best, other| if other.1 > best.1 { other } else { best }).0
}
