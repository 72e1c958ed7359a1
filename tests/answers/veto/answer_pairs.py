# ruff: noqa: E501
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
    (
        "What does a licence cost?",
        "A licence costs $49 and is valid for all your computers.",
        "A licence costs €49. It is valid for all computers.",
        "currency",
    ),
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
    (
        "What is the risk?",
        '{"risk": "high", "why": "the input is not checked"}',
        '{"why": "the input is checked by the proxy", "risk": "low"}',
        "JSON",
    ),
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
