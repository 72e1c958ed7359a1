"""Pairs of answers to one question: opposite ones, and rewordings of one answer.

``OPPOSITES`` has (question, left, right, kind), ``REWORDINGS`` (question, left, right).
"""

from itertools import combinations

OPPOSITES: list[tuple[str, str, str, str]] = [
    (
        "How long do I have to return an item?",
        "You have 30 days from the date of delivery to return an item. Pack it in the original box and print the label.",
        "Items can be returned within 14 days of delivery. The item must be unused and in its original box.",
        "number",
    ),
    (
        "Which TLS version does the gateway need?",
        "The gateway needs TLS 1.2 on every listener, so update the load balancer first.",
        "On every listener the gateway needs TLS 1.3; older clients are refused.",
        "version",
    ),
    ("When was the company founded?", "1987.", "It was founded in 1989.", "short number"),
    ("What is the capital of Australia?", "Canberra.", "It is Sydney.", "short name"),
    (
        "How many replicas does the cluster run?",
        "By default the cluster runs three replicas and spreads them over the zones.",
        "The cluster runs five replicas by default, one of them in another region.",
        "spelled number",
    ),
    (
        "How far is the airport from the city centre?",
        "The airport is 25 km from the city centre, about half an hour by train.",
        "It is 25 miles from the airport to the city centre. A taxi takes a while.",
        "unit",
    ),
    (
        "How large may an attachment be?",
        "An attachment may have up to 20 MB. Larger files go through the file share.",
        "Each attachment may have up to 20 GB, and the sender sees a progress bar.",
        "unit",
    ),
    (
        "How long does a refund take?",
        "A refund takes 5 days to arrive on your card.",
        "It takes 5 business days until the refund arrives on your card. You get an e-mail.",
        "unit",
    ),
    (
        "How often is the subscription billed?",
        "The subscription is billed monthly, on the day on which you signed up.",
        "Your subscription is billed yearly. You get an invoice by e-mail.",
        "period",
    ),
    (
        "What does the plan cost?",
        "The Pro plan costs $12 per user, and includes support by chat.",
        "The Pro plan costs $12 per team. Support by chat is part of it.",
        "unit",
    ),
    ("What does a licence cost?", "A licence costs $49 and is valid for all your computers.", "A licence costs €49. It is valid for all computers.", "currency"),
    (
        "By how much did the rate change?",
        "The interest rate rose by 2 percentage points in March.",
        "In March the interest rate rose by 2%.",
        "unit",
    ),
    (
        "When does the nightly job run?",
        "The nightly job runs at 02:00 UTC and takes about twenty minutes.",
        "The nightly job runs at 02:00 local time. It writes a report.",
        "time zone",
    ),
    (
        "How do I save battery on the tablet?",
        "To save battery, turn on background sync in the settings and lower the brightness.",
        "To save battery, open the settings and switch background sync off. Also use a darker screen.",
        "on/off",
    ),
    (
        "Should I use strict mode in production?",
        "In production you should enable strict mode. It finds mistakes before your users do.",
        "You should disable strict mode in production, because it makes each request slower.",
        "on/off",
    ),
    (
        "Can guests join the channel?",
        "The workspace allows guests in private channels. An admin sends them an invitation.",
        "Guests are blocked in private channels of the workspace; only members see them.",
        "allow/deny",
    ),
    (
        "Is it safe to delete the cache folder?",
        "It is safe to delete the cache folder while the program runs. It is built again.",
        "Deleting the cache folder while the program runs is dangerous. You can lose open files.",
        "safe/unsafe",
    ),
    (
        "Is a downgrade possible?",
        "It is possible to downgrade the database after the migration. Run the script with the old version.",
        "After the migration it is impossible to downgrade the database. Restore a backup instead.",
        "possible/impossible",
    ),
    (
        "What happens to the latency with a larger batch?",
        "A larger batch size increases the latency of each request, but the throughput is better.",
        "With a larger batch size the latency of each request decreases.",
        "increase/decrease",
    ),
    (
        "When do I take the medicine?",
        "Take the tablet before meals with a glass of water.",
        "Take the tablet after meals, and drink a glass of water with it.",
        "before/after",
    ),
    (
        "How long must the password be?",
        "The password must have at least 12 characters. Spaces count too.",
        "The password must have at most 12 characters, and one of them is a digit.",
        "at least/at most",
    ),
    (
        "Which alarm threshold should I set?",
        "Set the alarm to fire if `queue_depth > 500` for five minutes.",
        "The alarm should fire if `queue_depth < 500` for five minutes. Send it to the team.",
        "comparison",
    ),
    (
        "Who gets the discount?",
        "Orders greater than $100 get free shipping, which the shop applies at checkout.",
        "Orders less than $100 get free shipping. The shop applies it at checkout.",
        "comparison",
    ),
    (
        "Is the phone number required?",
        "The phone number is required when you create an account.",
        "When you create an account, the phone number is optional. You can add it later.",
        "required/optional",
    ),
    (
        "How do I update the firmware?",
        "1. Back up the device. 2. Install the new firmware. 3. Restart the router.",
        "1. Restart the router. 2. Install the new firmware. 3. Back up the device.",
        "order",
    ),
    (
        "How do I deploy?",
        "First run the migrations, then deploy the new image. Watch the error rate.",
        "First deploy the new image, then run the migrations.",
        "order",
    ),
    (
        "How do we migrate?",
        "Copy the rows from MySQL to Postgres at night, and compare the counts the next day.",
        "You should copy all rows from Postgres to MySQL. Then compare the counts.",
        "direction",
    ),
    (
        "Which engine do we keep?",
        "Keep Redis for sessions and drop Memcached next month.",
        "Keep Memcached for sessions and drop Redis next month.",
        "swapped names",
    ),
    (
        "May I share my account?",
        "You may share your account with members of your family. Each of them gets a profile.",
        "You may not share your account with other people, not even with members of your family.",
        "negation",
    ),
    (
        "Wird das Backup verschlüsselt?",
        "Das Backup wird auf dem Server verschlüsselt. Der Schlüssel liegt im Tresor.",
        "Das Backup wird auf dem Server nicht verschlüsselt, weil das zu lange dauert.",
        "negation, German",
    ),
    (
        "Peut-on annuler la commande ?",
        "Vous pouvez annuler la commande après l'expédition. Le remboursement arrive en une semaine.",
        "Vous ne pouvez pas annuler la commande après l'expédition.",
        "negation, French",
    ),
    (
        "¿El plan incluye soporte telefónico?",
        "El plan básico incluye soporte telefónico de lunes a viernes.",
        "El plan básico no incluye soporte telefónico; escriba un correo.",
        "negation, Spanish",
    ),
    (
        "可以在安装后更改用户名吗？",
        "安装后可以更改用户名。请打开设置，然后选择账户。",
        "安装后不能更改用户名。请重新创建账户。",
        "negation, Chinese",
    ),
    (
        "Можно ли удалить этот файл?",
        "Да, этот файл можно удалить после установки. Он больше не нужен.",
        "Нет, этот файл удалять нельзя, иначе программа не запустится.",
        "yes or no, Russian",
    ),
    ("What is the risk?", '{"risk": "high", "why": "the input is not checked"}', '{"why": "the input is checked by the proxy", "risk": "low"}', "JSON"),
    (
        "How do I install the client?",
        "Run `pip install redis` in your virtual environment, then import it.",
        "In your virtual environment run `pip install valkey`. After that you can import it.",
        "name in code",
    ),
]

_ONE_ANSWER: list[tuple[str, list[str]]] = [
    (
        "How do I turn on dark mode?",
        [
            "To turn on dark mode, open Settings, choose Display and enable Dark theme.",
            "Open Settings > Display and switch Dark theme on. Dark mode is then active.",
            "Go to the Display section of your settings and activate the dark theme there.",
            "You can enable dark mode in Settings: tap Display, then set Dark theme to on. It also saves battery.",
        ],
    ),
    (
        "How do I switch off notifications?",
        [
            "To switch off notifications, open the app, go to Profile and disable Push notifications.",
            "Open your profile in the app and turn push notifications off.",
            "In the app, tap Profile and deactivate the option Push notifications. You no longer get any messages.",
            "Notifications can be disabled under Profile: switch the Push notifications slider to off.",
        ],
    ),
    (
        "How do I enable two-factor authentication?",
        [
            "Open Account, choose Security and turn on two-factor authentication. Scan the code with your phone.",
            "Two-factor authentication is enabled under Account > Security; you need your phone to scan the code.",
            "First go to Account and then to Security. There you switch two-factor authentication on and scan the code.",
            "Under Security in your account, activate two-factor authentication, then scan the QR code. It takes 2 minutes.",
        ],
    ),
    (
        "How do I turn off autoplay?",
        [
            "Turn off autoplay in Settings > Playback.",
            "To stop autoplay, open Settings, select Playback and switch Autoplay off.",
            "Go to Playback in the settings and uncheck Autoplay. Videos do not start by themselves any more.",
            "Autoplay is disabled in the playback settings: set Autoplay to off.",
        ],
    ),
    (
        "How do I turn on location sharing?",
        [
            "Open Maps, tap your picture and turn on Location sharing.",
            "Tap your picture in Maps, choose Location sharing and enable it.",
            "To share your location, open Maps and switch Location sharing on in the menu behind your picture.",
            "In Maps, activate Location sharing (tap your picture first). You can turn it off again at any time.",
        ],
    ),
    (
        "How do I turn off read receipts?",
        [
            "Open Privacy in the chat settings and disable Read receipts.",
            "In the chat settings choose Privacy, then turn Read receipts off.",
            "Read receipts can be switched off in the chat settings under Privacy. Others no longer see what you have read.",
            "Go to chat settings, open Privacy, and set Read receipts to Off. You won't see theirs either.",
        ],
    ),
    (
        "How do I enable debug logging?",
        [
            "Set `LOG_LEVEL` to `debug` in the environment and restart the service to enable debug logging.",
            "To turn on debug logging, export `LOG_LEVEL=debug`, then restart the service.",
            "Debug logging is switched on with the variable `LOG_LEVEL`: give it the value `debug` and restart.",
            "Activate debug logging by setting `LOG_LEVEL=debug` before you restart the service. Logs grow fast, so turn it off later.",
        ],
    ),
    (
        "How do I turn on the heating?",
        [
            "Press the power button for 3 seconds to turn on the heating, then choose the temperature.",
            "Hold the power button for three seconds. The heating switches on and you can choose the temperature.",
            "The heating is turned on by holding the power button for 3 seconds; after that, pick a temperature.",
            "To activate the heating, keep the power button pressed for three seconds, then select a temperature of 21 degrees, for example.",
        ],
    ),
    (
        "How do I disable the firewall for a test?",
        [
            "Run `sudo ufw disable` to turn the firewall off, and enable it again after the test.",
            "Use `sudo ufw disable` to switch off the firewall. After the test, turn it on again.",
            "The firewall is disabled with `sudo ufw disable`. Do not forget to activate it again when the test is over.",
            "Deactivate the firewall with `sudo ufw disable`; once you have finished the test, re-enable it with `sudo ufw enable`.",
        ],
    ),
    (
        "How do I turn on captions?",
        [
            "Click the CC button below the video to turn captions on.",
            "Captions are turned on with the CC button under the video.",
            "To enable captions, press CC below the video. English and German are available.",
            "Start the video and click CC at the bottom; captions are then switched on.",
        ],
    ),
    (
        "Wie schalte ich den Flugmodus ein?",
        [
            "Öffnen Sie die Einstellungen, tippen Sie auf Netzwerk und aktivieren Sie den Flugmodus.",
            "Der Flugmodus wird in den Einstellungen unter Netzwerk eingeschaltet.",
            "Gehen Sie in die Einstellungen und schalten Sie unter Netzwerk den Flugmodus ein. Anrufe sind dann nicht möglich.",
            "Um den Flugmodus zu aktivieren, öffnen Sie Einstellungen > Netzwerk und tippen Sie auf Flugmodus.",
        ],
    ),
    (
        "How do I turn off the screen reader?",
        [
            "Press Ctrl+Alt+Z to turn off the screen reader, or disable it under Accessibility.",
            "Under Accessibility, switch the screen reader off. The shortcut is Ctrl+Alt+Z.",
            "The screen reader is switched off with Ctrl+Alt+Z, or in the Accessibility menu.",
            "Open Accessibility and deactivate the screen reader; if you prefer a shortcut, use Ctrl+Alt+Z.",
        ],
    ),
]

REWORDINGS: list[tuple[str, str, str]] = [
    (question, left, right) for question, answers in _ONE_ANSWER for left, right in combinations(answers, 2)
]

OPPOSITES_HELD_OUT: list[tuple[str, str, str, str]] = [
    (
        "How long do I boil the eggs?",
        "Put the eggs into boiling water for 6 minutes, then cool them under the tap.",
        "Soft eggs need 10 minutes in boiling water. Afterwards hold them under cold water.",
        "number",
    ),
    ("Which Python does the package support?", "The package supports Python 3.9 and later. Install it with pip.", "Python 3.12 and later is supported by the package.", "version"),
    ("In which year did the bridge open?", "1937", "The bridge was opened in 1933.", "short number"),
    ("Who painted it?", "Vermeer.", "Rembrandt.", "short name"),
    ("How many players are in a team?", "Each team has eleven players on the field.", "A team has nine players on the field, and some on the bench.", "spelled number"),
    ("How heavy may hand luggage be?", "Your hand luggage may weigh 8 kg. It must fit under the seat.", "Hand luggage may weigh 8 lbs and has to fit under the seat.", "unit"),
    ("How much memory does the job need?", "The job needs 512 MB of memory.", "Give the job 512 GB; the job needs that memory for the join.", "unit"),
    ("How long is the notice period?", "The notice period is 4 weeks for both sides.", "For both sides, the notice period is 4 months.", "unit"),
    ("How often should I water the plant?", "Water the plant weekly, and more in summer.", "You should water the plant every day. Use rain water.", "period"),
    ("How is storage priced?", "Storage costs $5 per user and is charged on the first day.", "Storage costs $5 per organization. It is charged on the first day.", "unit"),
    ("What does the ticket cost?", "The ticket costs 20 euros for adults.", "Adults pay 20 dollars for the ticket.", "currency"),
    ("How did turnout change?", "Turnout fell by 5 percentage points against the last election.", "Turnout fell by 5 percent against the last election.", "unit"),
    ("When does the market open?", "The market opens at 9 am on weekdays.", "On weekdays the market opens at 9 pm.", "time of day"),
    ("How do I silence the doorbell at night?", "In the night menu, switch the chime off. The camera keeps recording.", "Open the night menu and turn on the chime.", "on/off"),
    ("Should swap be used on the database host?", "Disable swap on the database host, because it makes queries slow.", "Swap should be enabled on the database host so that it never runs out of memory.", "on/off"),
    ("Are dogs permitted in the park?", "The park allows dogs on a leash in all seasons.", "Dogs are prohibited in the park in all seasons.", "allow/deny"),
    ("Is it safe to eat raw?", "It is safe to eat these mushrooms raw.", "These mushrooms are unsafe to eat raw. Cook them for a while.", "safe/unsafe"),
    ("Can a sent letter be recalled?", "A posted letter can be recalled at the counter for a fee.", "It is not possible to recall a posted letter at the counter.", "possible/impossible"),
    ("What does caffeine do to the heart rate?", "Caffeine raises the heart rate of most people for some hours.", "Caffeine lowers the heart rate of most people.", "increase/decrease"),
    ("When do I add the salt?", "Add the salt before the pasta goes into the water.", "After the pasta goes into the water, add the salt.", "before/after"),
    ("How many people may enter?", "At least ten people may enter the cave at once.", "No more than ten people may enter the cave at once.", "at least/at most"),
    ("Which rows does the filter keep?", "The filter keeps the rows where `age >= 18`.", "It keeps the rows where `age <= 18` and drops the others.", "comparison"),
    ("Who pays the higher fee?", "Vehicles longer than 6 metres pay the higher fee on the ferry.", "On the ferry, vehicles shorter than 6 metres pay the higher fee.", "comparison"),
    ("Must I wear a helmet?", "A helmet is mandatory for all cyclists in this country.", "In this country, a helmet is optional for cyclists.", "required/optional"),
    ("How do I change a tyre?", "1. Loosen the nuts.\n2. Lift the car.\n3. Take off the wheel.", "1. Lift the car.\n2. Take off the wheel.\n3. Loosen the nuts.", "order"),
    ("How do I plant the tree?", "First water the hole, then put the tree in.", "Put the tree in first, then water the hole.", "order"),
    ("Which way does the train run?", "The night train runs from Vienna to Rome and has a dining car.", "It is the night train that runs from Rome to Vienna.", "direction"),
    ("Which team won?", "In the final, Brazil beat Germany after extra time.", "In the final, Germany beat Brazil after extra time.", "swapped names"),
    ("Does the warranty cover water damage?", "The warranty covers water damage in the first year, if you keep the receipt.", "Water damage isn't covered by the warranty.", "negation"),
    ("Darf man hier parken?", "Besucher dürfen am Wochenende auf dem Hof parken.", "Am Wochenende dürfen Besucher hier auf dem Hof nicht parken.", "negation, German"),
    ("Si può cancellare la prenotazione?", "La prenotazione può essere cancellata fino al giorno prima dell'arrivo.", "La prenotazione non può essere cancellata.", "negation, Italian"),
    ("ファイルは復元できますか？", "削除したファイルは復元できます。ごみ箱を開いてください。", "削除したファイルは復元できません。", "negation, Japanese"),
    ("Czy mogę zwrócić bilet?", "Bilet można zwrócić w kasie przed odjazdem pociągu.", "Biletu nie można zwrócić w kasie.", "negation, Polish"),
    ("Dosya silinebilir mi?", "Evet, bu dosya güvenle silinir.", "Hayır, bu dosya silinmez.", "yes or no, Turkish"),
    ("Is it approved?", '{"approved": true, "limit": 500}', '{"limit": 500, "approved": false, "note": "see the manager about it"}', "JSON"),
    ("Which command shows the status?", "Run `git status` in the folder to see what changed.", "Run `git log` in the folder to see what changed.", "name in code"),
]

_ONE_ANSWER_HELD_OUT: list[tuple[str, list[str]]] = [
    (
        "How do I turn on cruise control?",
        [
            "Press the left button on the wheel to turn on cruise control, then choose the speed with the plus key.",
            "Cruise control is switched on with the button on the left of the wheel; set the speed with the plus key.",
            "To activate cruise control, use the wheel's left button. After that, select a speed with plus.",
            "Enable cruise control with the left button of the steering wheel. It works above 30 km/h.",
        ],
    ),
    (
        "How do I turn off the oven's child lock?",
        [
            "Hold the lock key for five seconds to switch off the child lock.",
            "The child lock is disabled by holding the lock key for 5 seconds.",
            "Keep the lock key pressed for 5 seconds. The child lock turns off and you hear a tone.",
            "To deactivate the child lock, press the lock key and do not let go for five seconds.",
        ],
    ),
    (
        "How do I enable offline maps?",
        [
            "In the travel app, open Downloads, pick a region and turn Offline maps on.",
            "Pick a region under Downloads in the travel app, then enable Offline maps.",
            "Offline maps are activated in the travel app: Downloads > region > Offline maps.",
            "Go to Downloads, choose your region and switch on Offline maps. Each region needs 300 MB.",
        ],
    ),
    (
        "How do I stop the weekly newsletter?",
        [
            "Open your mail preferences and turn off Weekly newsletter.",
            "Switch Weekly newsletter off in your mail preferences.",
            "In the mail preferences, disable the weekly newsletter; important notices are still sent.",
            "Go to mail preferences and deactivate Weekly newsletter. You can turn it on again whenever you like.",
        ],
    ),
    (
        "How do I turn on SSL for the site?",
        [
            "Open the site's panel, go to Certificates and enable SSL. Then restart the web server.",
            "Under Certificates in the panel of your site, switch SSL on and restart the web server afterwards.",
            "To turn on SSL, choose Certificates in the site's panel, set SSL to on, and restart the server.",
            "SSL is activated in the panel under Certificates. The web server must be restarted after you enable it.",
        ],
    ),
    (
        "How do I turn off the printer's eco mode?",
        [
            "On the printer's display, choose Power and turn eco mode off.",
            "Eco mode is switched off on the display under Power.",
            "Tap Power on the printer's screen, then disable Eco mode. Pages print faster then.",
            "Choose Power on the display and set Eco mode to off.",
        ],
    ),
    (
        "How do I activate the roaming option?",
        [
            "Send ROAM to 5500 to activate roaming. You get a message within 10 minutes.",
            "Roaming is turned on by sending the text ROAM to 5500.",
            "Text ROAM to 5500 and wait for the message; roaming is then switched on.",
            "To enable roaming, send a message with the word ROAM to 5500. It costs nothing in the EU.",
        ],
    ),
    (
        "How do I disable telemetry in the editor?",
        [
            "Add `telemetry: false` to the editor's configuration and restart it.",
            "Put `telemetry: false` in the configuration file, then restart the editor.",
            "Telemetry is disabled with the line `telemetry: false` in the configuration. Restart the editor.",
            "To switch telemetry off, write `telemetry: false` in your configuration file; the editor reads it after a restart.",
        ],
    ),
    (
        "How do I turn on the garden lights automatically?",
        [
            "In the home app, create a rule that turns on the garden lights at sunset.",
            "Create a rule in the home app: at sunset, switch the garden lights on.",
            "Use the home app to make a rule for sunset which turns the garden lights on, and another that turns them off at midnight.",
            "Open the home app and add a rule so that the garden lights are switched on at sunset.",
        ],
    ),
    (
        "How do I mute a conversation?",
        [
            "Long-press the conversation and tap Mute.",
            "Press the conversation for a moment, then choose Mute. You do not get any sound.",
            "To mute it, hold your finger on the conversation and select Mute.",
            "Tap and hold the conversation; in the menu, select Mute. Unmute it in the same way.",
        ],
    ),
    (
        "¿Cómo activo el modo avión?",
        [
            "Abra Ajustes, toque Red y active el modo avión.",
            "El modo avión se activa en Ajustes, en el apartado Red.",
            "Para activar el modo avión, vaya a Ajustes y después a Red.",
            "En Ajustes > Red puede activar el modo avión. Las llamadas no funcionan entonces.",
        ],
    ),
    (
        "How do I turn off the pilot light?",
        [
            "Close the gas valve below the boiler, and the pilot light goes out.",
            "Turn the gas valve under the boiler until it is closed. This switches the pilot light off.",
            "The pilot light turns off when you close the gas valve below the boiler. Never open the valve again while you smell gas.",
            "To switch off the pilot light, shut the gas valve beneath the boiler.",
        ],
    ),
]

REWORDINGS_HELD_OUT: list[tuple[str, str, str]] = [
    (question, left, right) for question, answers in _ONE_ANSWER_HELD_OUT for left, right in combinations(answers, 2)
]
"""The held-out pairs were written after the rules, about other subjects."""
