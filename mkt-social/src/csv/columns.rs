//! From a header to the meaning of each column: the caller's mapping, the shape of a known export, the usual names.

use std::fmt;
use std::str::FromStr;

use mkt_connect::table::{Header, fold};

use super::shape::{self, Shape};
use crate::metric::Metric;

/// The meaning of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The network's id of the post.
    Id,
    /// The network.
    Network,
    /// Time of publication: the only required column, next to one metric.
    PublishedAt,
    /// Time of day of the publication, if [`Field::PublishedAt`] is a date.
    TimeOfDay,
    /// The type of post.
    Kind,
    /// The text.
    Text,
    /// The URL of the post.
    Url,
    /// Whether the post was promoted.
    Paid,
    /// A metric.
    Count(Metric),
    /// A column that is not read, whatever its name.
    Ignored,
}

impl Field {
    /// The name, as in the header that [`write`](super::write()) writes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "post_id",
            Self::Network => "platform",
            Self::PublishedAt => "published_at",
            Self::TimeOfDay => "time_of_day",
            Self::Kind => "type",
            Self::Text => "text",
            Self::Url => "url",
            Self::Paid => "paid",
            Self::Count(metric) => metric.as_str(),
            Self::Ignored => "ignored",
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let fields = [
            Self::PublishedAt,
            Self::TimeOfDay,
            Self::Id,
            Self::Network,
            Self::Kind,
            Self::Text,
            Self::Url,
            Self::Paid,
        ];
        fields.into_iter().chain(Metric::ALL.into_iter().map(Self::Count)).chain([Self::Ignored])
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error of parsing an unknown field name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown field {0:?}: expected post_id, platform, published_at, time_of_day, type, text, url, paid, likes, comments, \
     shares, saves, reach, impressions, views, followers or ignored"
)]
pub struct UnknownField(pub String);

impl FromStr for Field {
    type Err = UnknownField;

    /// Parses the name of a field, ignoring case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.trim();
        Self::all()
            .find(|field| field.as_str().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| UnknownField(wanted.chars().take(40).collect()))
    }
}

/// Folded names by field (letters and digits, lower case, without accents), in ranks: a name of the first rank goes before
/// one of the second.
type Names = &'static [&'static [&'static str]];

fn names_of(field: Field) -> Names {
    match field {
        Field::PublishedAt => &[
            &[
                "publishedat",
                "publishtime",
                "posttime",
                "createdtime",
                "createdat",
                "timeposted",
                "postedat",
                "videopublishtime",
                "heuredepublication",
                "datedepublication",
                "datedecreation",
                "heuredecreation",
                "publicationdate",
                "publicationtime",
                "publishdate",
                "publisheddate",
                "datepublished",
                "posteddate",
                "postdate",
                "dateposted",
                "createddate",
                "datetime",
                "dateheure",
                "dateetheure",
                "postedon",
                "publishedon",
                "publiele",
                "datedepost",
                "datedupost",
            ],
            &["timestamp", "created", "published", "posted"],
            &["date", "jour", "day"],
            &["time", "heure"],
        ],
        Field::TimeOfDay => &[&["timeofday", "time", "heure", "hour"]],
        Field::Id => &[
            &[
                "postid",
                "mediaid",
                "videoid",
                "tweetid",
                "identifiantdelapublication",
                "idpublication",
                "iddelapublication",
                "identifiantpublication",
                "messageid",
                "contentid",
            ],
            &["id", "identifiant"],
        ],
        Field::Network => {
            &[&["platform", "network", "plateforme", "reseau", "reseausocial", "socialnetwork"]]
        }
        Field::Kind => &[
            &["posttype", "mediatype", "typedepublication", "typedepost", "mediaproducttype"],
            &["contenttype", "typedecontenu"],
            &["type", "format"],
        ],
        Field::Text => &[
            &[
                "posttext",
                "caption",
                "message",
                "text",
                "texte",
                "legende",
                "tweettext",
                "posttitle",
                "videotitle",
            ],
            &["description", "title", "titre", "titredelapublication"],
            &["post", "content", "contenu"],
        ],
        Field::Url => &[
            &[
                "permalink",
                "permalien",
                "posturl",
                "postlink",
                "videolink",
                "videourl",
                "lienpermanent",
                "permalinkurl",
                "tweetpermalink",
                "posturls",
            ],
            &["url", "link", "lien"],
        ],
        Field::Paid => {
            &[&["paid", "promoted", "sponsored", "sponsorise", "payant", "ispaid", "boosted", "ispromoted"]]
        }
        Field::Count(metric) => names_of_metric(metric),
        Field::Ignored => &[],
    }
}

fn names_of_metric(metric: Metric) -> Names {
    match metric {
        // Reactions contain likes.
        Metric::Likes => &[
            &["reactions", "reaction", "totalreactions", "reactionstotal", "reactioncount", "reactionscount"],
            &[
                "likes",
                "like",
                "totallikes",
                "likecount",
                "likescount",
                "likesadded",
                "jaime",
                "mentionsjaime",
                "nombredejaime",
                "jaimes",
                "favourites",
                "favorites",
                "favouritescount",
                "favoritecount",
                "hearts",
            ],
        ],
        Metric::Comments => &[
            &[
                "comments",
                "comment",
                "commentaires",
                "commentcount",
                "commentscount",
                "totalcomments",
                "commentsadded",
                "commentaire",
                "nombredecommentaires",
            ],
            &["replies", "reply", "reponses", "repliescount", "replycount", "totalreplies"],
        ],
        Metric::Shares => &[
            &[
                "shares",
                "share",
                "partages",
                "partage",
                "sharecount",
                "sharescount",
                "totalshares",
                "nombredepartages",
            ],
            &[
                "reposts",
                "repost",
                "retweets",
                "retweet",
                "reblogs",
                "boosts",
                "repartages",
                "republications",
                "repostcount",
                "retweetcount",
                "totalreposts",
            ],
        ],
        Metric::Saves => &[&[
            "saves",
            "saved",
            "save",
            "bookmarks",
            "bookmark",
            "enregistrements",
            "enregistrement",
            "savecount",
            "savescount",
            "totalsaves",
            "signets",
        ]],
        Metric::Reach => &[&[
            "reach",
            "portee",
            "couverture",
            "totalreach",
            "postreach",
            "accountsreached",
            "comptestouches",
            "peoplereached",
            "personnestouchees",
            "lifetimeposttotalreach",
            "membersreached",
            "audiencereached",
        ]],
        Metric::Impressions => &[&[
            "impressions",
            "impression",
            "totalimpressions",
            "postimpressions",
            "lifetimeposttotalimpressions",
        ]],
        Metric::Views => &[
            &["views", "vues", "view", "totalviews", "viewcount", "postviews"],
            &["videoviews", "vuesdevideo", "vuesvideo", "plays", "lectures"],
        ],
        Metric::Followers => {
            &[&["followers", "abonnes", "followercount", "followerscount", "totalfollowers"]]
        }
    }
}

/// Parts of names of columns that look like interactions.
const LIKE_INTERACTIONS: [&str; 26] = [
    "like",
    "reaction",
    "comment",
    "repl",
    "share",
    "repost",
    "retweet",
    "reblog",
    "boost",
    "save",
    "bookmark",
    "click",
    "engagement",
    "interaction",
    "follow",
    "vote",
    "favo",
    "quote",
    "jaime",
    "partage",
    "enregistrement",
    "clic",
    "reponse",
    "subscriber",
    "abonnement",
    "detailexpand",
];

/// The columns of a file.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// The columns that are read: index, meaning, name in the file.
    pub(super) read: Vec<(usize, Field, String)>,
    /// The column of the time of publication.
    pub(super) published_at: usize,
    /// The column of the time of day, if it is apart.
    pub(super) time_of_day: Option<usize>,
    /// Whether the name of that column says that its times are UTC.
    pub(super) is_utc: bool,
    /// The shape of the file, if it is that of a known export.
    pub(super) shape: Option<&'static Shape>,
    /// Columns that look like interactions and are not counted.
    pub(super) not_counted: Vec<String>,
}

/// A header without a column that is needed, or with an ambiguous one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeaderError {
    pub(super) text: String,
    /// Whether this line is probably not the header.
    pub(super) is_no_header: bool,
}

impl Columns {
    pub(super) fn of(header: &Header, mapping: &[(String, Field)]) -> Result<Self, HeaderError> {
        let shape = shape::of(header);
        let mut taken: Vec<(usize, Field)> = Vec::new();
        for (name, field) in mapping {
            let index = header.find(&[name.as_str()]).map_err(|error| refused(error.to_string()))?;
            let index = index.ok_or_else(|| {
                refused(format!(
                    "the header has no column {:?}; its columns: {}",
                    short(name),
                    listed(header)
                ))
            })?;
            taken.retain(|(other, _)| *other != index);
            taken.push((index, *field));
        }
        if let Some((field, _)) = mapping.iter().map(|(_, field)| (*field, ())).find(|(field, ())| {
            *field != Field::Ignored && taken.iter().filter(|(_, other)| other == field).count() > 1
        }) {
            return Err(refused(format!("two columns are mapped to {field}")));
        }
        for (name, field) in shape.into_iter().flat_map(|shape| shape.columns) {
            let free = |index: &usize| !taken.iter().any(|(other, _)| other == index);
            let is_mapped = taken.iter().any(|(_, other)| other == field);
            if !is_mapped && let Some(index) = header.matching(name).find(free) {
                taken.push((index, *field));
            }
        }
        for field in Field::all().filter(|field| *field != Field::Ignored) {
            if !taken.iter().any(|(_, other)| *other == field)
                && let Some(index) = usual(header, field, &taken)?
            {
                taken.push((index, field));
            }
        }
        let column = |field: Field| taken.iter().find(|(_, other)| *other == field).map(|(index, _)| *index);
        let missing = |what: &str| match (0..header.len()).any(|index| is_address(header.label(index))) {
            true => refused("a row is in the place of the header: it holds an email address".to_owned()),
            false => HeaderError {
                text: format!("the header has no column with {what}; its columns: {}", listed(header)),
                is_no_header: true,
            },
        };
        let published_at = column(Field::PublishedAt)
            .ok_or_else(|| missing("the time of publication: map one to published_at"))?;
        if !taken.iter().any(|(_, field)| matches!(field, Field::Count(_))) {
            return Err(missing(
                "a metric: map one to likes, comments, shares, saves, reach, impressions or views",
            ));
        }
        let mut read: Vec<(usize, Field, String)> = taken
            .iter()
            .filter(|(_, field)| !matches!(field, Field::Ignored | Field::TimeOfDay))
            .map(|(index, field)| (*index, *field, header.label(*index).to_owned()))
            .collect();
        read.sort_by_key(|(index, ..)| *index);
        let is_read =
            |index: usize| taken.iter().any(|(other, field)| *other == index && *field != Field::Ignored);
        let looks_like =
            |index: &usize| LIKE_INTERACTIONS.iter().any(|part| header.folded(*index).contains(part));
        let not_counted = (0..header.len())
            .filter(|index| !is_read(*index))
            .filter(looks_like)
            .map(|index| header.label(index).to_owned())
            .collect();
        let is_utc = header.says_utc(published_at);
        Ok(Self { read, published_at, is_utc, time_of_day: column(Field::TimeOfDay), shape, not_counted })
    }

    /// The columns that are counted as interactions.
    pub(super) fn interactions(&self) -> impl Iterator<Item = &str> {
        let is_interaction =
            |field: &Field| matches!(field, Field::Count(metric) if Metric::INTERACTIONS.contains(metric));
        self.read.iter().filter(move |(_, field, _)| is_interaction(field)).map(|(.., name)| name.as_str())
    }
}

/// The column of a field by its usual names, among those not taken yet.
fn usual(header: &Header, field: Field, taken: &[(usize, Field)]) -> Result<Option<usize>, HeaderError> {
    let is_date = |index: usize| names_of(Field::PublishedAt)[2].contains(&header.folded(index));
    if field == Field::TimeOfDay {
        // Only next to a date: a time of publication stands for itself.
        let published_at =
            taken.iter().find(|(_, field)| *field == Field::PublishedAt).map(|(index, _)| *index);
        if !published_at.is_some_and(is_date) {
            return Ok(None);
        }
    }
    // As written first; then without a unit or zone in brackets, and without the word that all columns begin with.
    let whole = |index: usize| header.folded(index).to_owned();
    let brief = |index: usize| short_name(header.label(index));
    let passes: [(&dyn Fn(usize) -> String, bool); 2] = [(&whole, true), (&brief, false)];
    let ranks = passes.iter().flat_map(|pass| names_of(field).iter().map(move |rank| (pass, rank)));
    for ((name_of, is_certain), rank) in ranks {
        let mut found = (0..header.len()).filter(|index| {
            rank.contains(&name_of(*index).as_str()) && !taken.iter().any(|(other, _)| other == index)
        });
        let Some(first) = found.next() else { continue };
        return match found.next() {
            None => Ok(Some(first)),
            // `Views (total)` and `Views (unique)`: neither is meant for certain.
            Some(_) if !is_certain => continue,
            Some(second) => Err(refused(format!(
                "the columns {:?} and {:?} may both be {field}: map one of them to {field}",
                short(header.label(first)),
                short(header.label(second)),
            ))),
        };
    }
    Ok(None)
}

/// The folded name without what stands in brackets at its end, and without `Post` before it: `Post Date (UTC)` is a date.
fn short_name(label: &str) -> String {
    let name = label.split_once('(').map_or(label, |(name, _)| name).trim();
    let rest = ["Post ", "post ", "post_", "POST "].iter().find_map(|begin| name.strip_prefix(begin));
    fold(rest.filter(|rest| !rest.trim().is_empty()).unwrap_or(name))
}

fn refused(text: String) -> HeaderError {
    HeaderError { text, is_no_header: false }
}

/// Whether a name of a column is somebody's address: then the line is a row, and no title before the header.
fn is_address(name: &str) -> bool {
    let host = name.rsplit_once('@').filter(|(local, _)| !local.is_empty()).map(|(_, host)| host);
    host.is_some_and(|host| host.contains('.')) && !name.contains(char::is_whitespace)
}

fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

/// The names of the columns, at most twelve.
fn listed(header: &Header) -> String {
    const MOST: usize = 12;
    let mut names: Vec<String> =
        (0..header.len()).take(MOST).map(|index| short(header.label(index))).collect();
    if header.len() > MOST {
        names.push("…".to_owned());
    }
    names.join(", ")
}

/// Whether a folded word is that of a row of totals.
pub(super) fn is_total(text: &str) -> bool {
    const WORDS: [&str; 8] =
        ["total", "totals", "totaux", "totalgeneral", "grandtotal", "ensemble", "average", "moyenne"];
    text.len() <= 24 && WORDS.contains(&fold(text).as_str())
}
