"""Chinese questions, and the model's Chinese answers."""

from __future__ import annotations

from typing import Final

from training.phrases import Phrases
from training.scenes import Kind

IN_CHINESE: Final = {
    "circle": "圆形",
    "square": "正方形",
    "triangle": "三角形",
    "star": "星形",
    "heart": "心形",
    "cross": "十字形",
    "diamond": "菱形",
    "ring": "圆环",
    "red": "红色",
    "green": "绿色",
    "blue": "蓝色",
    "yellow": "黄色",
    "orange": "橙色",
    "purple": "紫色",
    "pink": "粉色",
    "brown": "棕色",
    "black": "黑色",
    "white": "白色",
    "grey": "灰色",
    "top left": "左上角",
    "top": "上方",
    "top right": "右上角",
    "left": "左边",
    "middle": "中间",
    "right": "右边",
    "bottom left": "左下角",
    "bottom": "下方",
    "bottom right": "右下角",
}


class Chinese(Phrases):
    def name(self, kind: Kind) -> str:
        return self.the(kind.colour, kind.shape)

    def a(self, kind: Kind) -> str:
        return f"{self.name(kind)}。"

    def a_shape(self, shape: str) -> str:
        return f"{IN_CHINESE[shape]}。"

    def is_colour(self, colour: str) -> str:
        return f"{IN_CHINESE[colour]}。"

    def the(self, colour: str | None, shape: str | None) -> str:
        things = IN_CHINESE[shape] if shape else "图形"
        return f"{IN_CHINESE[colour]}的{things}" if colour else things

    def that(self, kind: Kind) -> str:
        return self.a(kind)

    def many(self, colour: str | None, shape: str | None) -> str:
        return self.the(colour, shape)

    def there_are(self, n: int, colour: str | None, shape: str | None) -> str:
        things = self.many(colour, shape)
        return f"有{n}个{things}。" if n else f"没有{things}。"

    def yes_no(self, yes: bool) -> str:
        return "有。" if yes else "没有。"

    def place(self, place: str) -> str:
        return IN_CHINESE[place]

    def at(self, place: str) -> str:
        return f"在{IN_CHINESE[place]}。"

    def placed(self, kind: Kind, place: str) -> str:
        return f"{IN_CHINESE[place]}有一个{self.name(kind)}"

    def counted(self, n: int, kind: Kind) -> str:
        return f"有{n}个{self.name(kind)}"

    def picture_of(self, parts: list[str]) -> str:
        return f"图中{'，'.join(parts)}。"


CHINESE: Final = Chinese(
    describe=(
        "请描述这张图片的内容。",
        "请描述这张图片的内容",
        "描述这张图片。",
        "描述一下这张图片",
        "请描述图片。",
        "这张图片里有什么？",
        "图中有什么？",
        "图片里有什么",
        "你看到了什么？",
        "这是什么？",
        "图片显示了什么？",
    ),
    how_many=(
        "有多少个图形？",
        "有几个图形？",
        "图中有几个图形？",
        "图片里有多少个图形",
        "一共有几个图形？",
        "有多少个物体？",
        "图中有几个物体？",
        "数一数图形。",
    ),
    how_many_of=(
        "有多少个{them}？",
        "有几个{them}？",
        "图中有几个{them}？",
        "图片里有多少个{them}",
        "一共有几个{them}？",
        "数一数{them}。",
    ),
    is_there=(
        "有{it}吗？",
        "图中有{it}吗？",
        "图片里有没有{it}？",
        "你看到{it}了吗？",
    ),
    which_shape=(
        "这是什么形状？",
        "这是什么图形？",
        "什么形状？",
        "图中是什么形状？",
        "图片里是什么图形",
        "它是什么形状？",
    ),
    which_colour=(
        "这是什么颜色？",
        "它是什么颜色？",
        "什么颜色？",
        "图形是什么颜色？",
        "图中的图形是什么颜色",
        "它的颜色是什么？",
    ),
    which_kind=(
        "这是什么形状，什么颜色？",
        "这是什么颜色的什么图形？",
        "它是什么形状，是什么颜色？",
        "图中是什么颜色的什么形状？",
        "请说出形状和颜色。",
    ),
    where_is_it=(
        "它在哪里？",
        "图形在哪里？",
        "图形在图片的什么位置？",
        "它在图中的哪个位置？",
    ),
    which_colour_is=(
        "{it}是什么颜色？",
        "图中的{it}是什么颜色？",
        "{it}的颜色是什么",
        "那么{it}是什么颜色？",
    ),
    which_shape_is=(
        "{it}是什么形状？",
        "图中{it}是什么形状？",
        "{it}的形状是什么",
        "那么{it}是什么形状？",
    ),
    where_is=(
        "{it}在哪里？",
        "{it}在图中的什么位置？",
        "{it}在哪个位置",
        "那么{it}在哪里？",
    ),
    what_is_at=(
        "{at}是什么？",
        "{at}有什么？",
        "图片{at}是什么图形？",
        "那么{at}是什么？",
    ),
    bigger=(
        "哪个更大？",
        "哪一个更大？",
        "哪个图形更大？",
        "哪个大",
        "最大的是哪个？",
    ),
    smaller=(
        "哪个更小？",
        "哪一个更小？",
        "哪个图形更小？",
        "哪个小",
        "最小的是哪个？",
    ),
    read=(
        "提取文字",
        "提取文字。",
        "请提取图中的文字。",
        "图中写了什么？",
        "写的是什么？",
        "上面写着什么？",
        "图片里的文字是什么？",
        "读出文字。",
        "这里写了什么",
    ),
    read_number=(
        "这是什么数字？",
        "图中的数字是什么？",
        "图中写的是什么数字？",
        "数字是多少？",
        "读出数字。",
        "图片里是什么数字",
    ),
    the_writing=("文字", "字"),
    anything=(
        "你好！",
        "你是谁？",
        "你能做什么？",
        "法国的首都是哪里？",
        "讲个笑话。",
        "今天天气怎么样？",
        "这是狗还是猫？",
        "这个人是谁？",
        "这个人在做什么？",
        "照片是在哪里拍的？",
        "图中有几个人？",
        "这辆车是什么品牌？",
        "写一首关于大海的诗。",
        "谢谢！",
        "现在几点了？",
        "请解释这个图表。",
    ),
    honest="我只认识简单的图形、颜色和数字。",
    no_writing="没有文字。",
    no_shapes="没有图形，只有文字。",
    picture_of_number="图中写着数字{}。",
    picture_of_text="图中写着{}。",
)
