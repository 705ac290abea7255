pub use mkt_email::Subscribers;
pub use mkt_etl::csv::CsvSource as EtlCsv;
pub use mkt_etl::Window;
pub use mkt_etl::AnalyticsSource;
pub use mkt_ml::Frame;
pub use mkt_social::csv::Csv as SocialCsv;
pub use mkt_social::{Request, Sheet, SocialSourceExt};
