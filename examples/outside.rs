//! A stranger's project: one email, one report, one model, each in five lines. `test.sh` compiles it outside of the
//! repository, with nothing but the crates' default features.

use mkt_email::{EmailProviderExt, Maildir, Message};
use mkt_ml::{CsvOptions, Forest, Labelled, TrainedModel};
use mkt_warehouse::report::{Scope, conversion_by_channel};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let message = Message::builder("Shop <news@example.org>".parse()?, "jean@example.org".parse()?, "Hello".parse()?);
    let id = Maildir::open("mails")?.send_now(message.text("Hello Jean!").build()?).await?;
    println!("sent as {id}");

    let warehouse = mkt_warehouse::open("sqlite:shop.db").await?;
    let scope = Scope::days("Europe/Paris", "2026-05-01".parse()?, "2026-11-01".parse()?)?;
    println!("{}", conversion_by_channel(warehouse.as_ref(), &scope).await?);

    let visits = Labelled::new(CsvOptions::default().read_path("user_behavior.csv")?, "converted")?;
    let (train, test) = visits.split(0.2, 42)?;
    let model = TrainedModel::fit(&train, Forest::params())?;
    println!("{}", model.report(&model.evaluate(&test)?));
    Ok(())
}
