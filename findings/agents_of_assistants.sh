#!/usr/bin/env bash
# ua-parser 1.0.2 (builtins 202610), user-agents 2.2.0, crawlerdetect 0.4.2, device_detector 6.5.1: four answers about
# the agents that fetch pages and pictures for people.
#
# Guess: libraries of 2026 know the fetchers of ChatGPT and Perplexity, and Gmail's image proxy.
# Seen: ua-parser names ChatGPT-User "com/bot" (cut out of openai.com/bot), and user-agents calls it no bot;
# Perplexity-User is a bot to device_detector only; an e-mail opened through Gmail's image proxy is a PC with Firefox to
# user-agents; axios is a smartphone to device_detector; a telephone called "Robotics X1" is a crawler to crawlerdetect.
# For us: a table of our own, matched on whole product names, with the rule that fired in the answer.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages ua-parser==1.0.2 ua-parser-builtins==202610 user-agents==2.2.0 crawlerdetect==0.4.2 device_detector==6.5.1
run_python <<'PYTHON' | seen "ChatGPT-User: family com/bot, bot: False, True, True
Perplexity-User: family None, bot: False, False, True
Gmail's proxy: family GmailImageProxy, bot: False, True, True, PC: True
axios: family axios, bot: False, True, False, device: smartphone
a telephone: family Chrome Mobile, bot: False, True, False"
from ua_parser import parse
from user_agents import parse as user_agents
from crawlerdetect import CrawlerDetect
from device_detector import DeviceDetector
webkit = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko"
agents = {
    "ChatGPT-User": webkit + "); compatible; ChatGPT-User/1.0; +https://openai.com/bot",
    "Perplexity-User": webkit + "; compatible; Perplexity-User/1.0; +https://perplexity.ai/perplexity-user)",
    "Gmail's proxy": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "axios": "axios/1.7.2",
    "a telephone": "Mozilla/5.0 (Linux; Android 12; Robotics X1) AppleWebKit/537.36 (KHTML, like Gecko) "
                   "Chrome/120.0.0.0 Mobile Safari/537.36",
}
for name, agent in agents.items():
    family, simple, device = parse(agent).user_agent, user_agents(agent), DeviceDetector(agent).parse()
    bots = [simple.is_bot, CrawlerDetect(user_agent=agent).isCrawler(), device.is_bot()]
    more = ", PC: True" if simple.is_pc else f", device: {device.device_type()}" if name == "axios" else ""
    print(f"{name}: family {family and family.family}, bot: {', '.join(map(str, bots))}{more}")
PYTHON
