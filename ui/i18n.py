"""The texts of the page, by language."""

from __future__ import annotations

LANGUAGES = ("en", "zh")

# Gradio translates its own controls.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "# Ask about a picture",
        "placeholder": "Add a picture and ask about it",
        "hint": "Drop a picture below and ask what you want to know.",
        "tiny": "Test model: it knows only simple shapes, colours and numbers.",
        "no_worker": "The model is still loading.",
        "default_question": "Describe this picture.",
        "queued": "Waiting, number {position} in the queue.",
        "queued_for": "Waiting, number {position} in the queue, about {about}.",
        "moment": "a few seconds",
        "seconds": "{n} seconds",
        "minutes": "{n} minutes",
        "retried": "Processing was interrupted. Starting again …",
        "reading": "Looking …",
        "thinking": "Thinking …",
        "cancelled": "Stopped.",
        "empty": "Write a question or add a picture.",
        "failed": "Something went wrong here. Please ask again.",
        "dropped": "The oldest messages no longer fit and were left out.",
        "login": "Sign in",
        "login_name": "Name",
        "login_key": "Key",
        "login_do": "Sign in",
        "login_hint": "The operator of this server gives you both.",
        "login_wrong": "This name and key do not belong together, or are not valid.",
        "login_as": "You are signed in as {name}",
        "login_back": "Back to the chat",
        "logout_do": "Sign out",
    },
    "zh": {
        "title": "# 看图问答",
        "placeholder": "添加图片并提问",
        "hint": "把图片拖到下面，然后提问。",
        "tiny": "测试模型：它只认识简单的图形、颜色和数字。",
        "no_worker": "模型还在加载。",
        "default_question": "请描述这张图片的内容。",
        "queued": "排队中，您排在第 {position} 位。",
        "queued_for": "排队中，您排在第 {position} 位，大约还要 {about}。",
        "moment": "几秒钟",
        "seconds": "{n} 秒",
        "minutes": "{n} 分钟",
        "retried": "处理被中断，正在重新开始 ……",
        "reading": "正在查看 ……",
        "thinking": "正在思考 ……",
        "cancelled": "已停止。",
        "empty": "请输入问题或添加图片。",
        "failed": "处理这个问题时出错，请再问一次。",
        "dropped": "较早的消息已放不下，未包含在内。",
        "login": "登录",
        "login_name": "名称",
        "login_key": "密钥",
        "login_do": "登录",
        "login_hint": "名称和密钥由服务器管理员提供。",
        "login_wrong": "名称与密钥不匹配，或已失效。",
        "login_as": "您已登录：{name}",
        "login_back": "返回聊天",
        "logout_do": "退出登录",
    },
}

# Errors are English sentences; these are their translations, by error code.
ERRORS: dict[str, dict[str, str]] = {
    "en": {},
    "zh": {
        "queue_full": "现在提问的人太多，请过一会儿再试。",
        "client_limit": "您还有问题正在处理，请等回答完成后再提问。",
        "rate_limit_exceeded": "您的密钥在这段时间内的用量已达上限，请稍后再试。",
        "forbidden": "您的密钥不允许这样做。",
        "no_worker": "模型还没有准备好，请过一会儿再试。",
        "service_unavailable": "服务暂时不可用，请过一会儿再试。",
        "shutting_down": "服务正在停止，请过一会儿再问一次。",
        "worker_lost": "处理被中断，请再问一次。",
        "deadline_exceeded": "回答没有在规定时间内完成，请再问一次。",
        "engine_error": "处理这个问题时出错，请再问一次。",
        "request_quarantined": "这个问题多次导致处理中断，暂时不再处理，请换一个问题。",
        "invalid_image": "这张图片无法使用，请换一张。（{message}）",
        "context_length_exceeded": "问题太长，请缩短后再试。（{message}）",
    },
}


def language_of(accept_language: str) -> str:
    """The first language of an Accept-Language header that the page speaks."""
    for tag in accept_language.lower().split(","):
        if (language := tag.strip()[:2]) in LANGUAGES:
            return language
    return "en"
